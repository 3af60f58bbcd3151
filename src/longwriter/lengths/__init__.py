"""The length that a prompt asks the whole text to have: reading it, and the rules and numerals behind it."""
