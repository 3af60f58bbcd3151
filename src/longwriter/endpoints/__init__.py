"""Requests to the endpoint of a language model over HTTP: how they are sent, how many a minute, how answers are read."""
