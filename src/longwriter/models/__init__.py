"""Model weights (fetched, converted) and the servers that answer with them."""
