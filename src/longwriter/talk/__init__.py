"""Finds answers that are not the text: refusals, talk about the task, messages of an API."""
