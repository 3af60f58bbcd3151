"""Talks to models of this checkout: in the terminal, by an OpenAI-compatible API, and side by side in a page."""
