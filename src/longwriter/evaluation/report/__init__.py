"""The comparison of the models on one benchmark: statistics, numbers, report and figures."""
