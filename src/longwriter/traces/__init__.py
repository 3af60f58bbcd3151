"""MLflow traces of texts and answers, made from the call log."""
