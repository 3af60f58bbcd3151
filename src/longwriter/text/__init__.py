"""Pure functions of text: words, markup, prompts, language, repetition, refusals, talk about the task, escaping."""
