"""The only client of language models: what a request may hold, which requests are sent, stored and sent again."""
