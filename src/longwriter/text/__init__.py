"""Pure functions of text: words, language, stated lengths, repetition, wording, overlap with benchmarks."""
