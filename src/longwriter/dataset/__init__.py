"""From drafts to training examples: filters, length labels, the data card, and formats of other trainers."""
