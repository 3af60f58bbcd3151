"""Numbers that compare models: intervals, differences in pairs, quality, agreement of judges."""
