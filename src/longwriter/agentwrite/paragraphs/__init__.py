"""The paragraphs of a text: their prompts, the rules that they must pass, and the loop that asks for them."""
