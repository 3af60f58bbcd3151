"""The one door to every language model: client, limits, retries, replay cache, call log and prices."""
