"""The way from a number to the requests behind it, and from a row to everything that holds it."""
