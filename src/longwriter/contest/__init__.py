"""One benchmark on any endpoint: answers, marks and a page, without the training pipeline."""
