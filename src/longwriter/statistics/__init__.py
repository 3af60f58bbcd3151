"""Statistics that several rooms use: intervals and tests, agreement of raters, shares of right answers."""
