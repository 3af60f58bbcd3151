"""Two answers to one prompt compared by judges: the question in both orders, win rates, Bradley-Terry scores."""
