"""What the stage base_model makes: one folder with weights, chat template, end token of answers, and positions."""
