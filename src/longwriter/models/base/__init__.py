"""What base_model makes: the weights of a source in one folder, with chat template, end of an answer and positions."""
