"""What base_model makes: the weights of a source in one folder, with the chat template and the end of an answer."""
