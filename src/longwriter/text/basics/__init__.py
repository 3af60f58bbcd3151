"""What nearly every stage needs of a text: words, markup, prompts, quotations, wording, endings."""
