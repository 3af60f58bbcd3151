"""All code that uses Prefect: it decides when stages run and what is retried."""
