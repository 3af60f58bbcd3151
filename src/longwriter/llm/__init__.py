"""All access to language models: client, limits, retries, replay cache, call log and prices."""
