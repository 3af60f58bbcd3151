"""`longwriter review`: people vote on two anonymous answers side by side, in a page on this machine."""
