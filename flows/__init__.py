"""Prefect, and nobody else's Prefect: when stages run, retry and notify."""
