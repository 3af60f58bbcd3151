"""What endpoints answered: read from bytes, stored for replay, logged, counted and priced."""
