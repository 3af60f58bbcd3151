"""The models of this checkout to talk to: in the terminal, by an OpenAI-compatible API, side by side in a page."""
