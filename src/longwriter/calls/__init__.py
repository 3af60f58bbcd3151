"""Reads the answers of endpoints from bytes, stores them for replay, logs them, counts them and prices them."""
