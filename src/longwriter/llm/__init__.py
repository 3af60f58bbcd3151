"""The only client of language models: requests, capabilities, limits, retries, HTTP."""
