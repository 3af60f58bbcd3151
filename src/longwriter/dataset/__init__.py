"""From drafts to training examples: filters, length labels, the data card, and licences."""
