"""Judges compare two answers to one prompt: the question in both orders, win rates, Bradley-Terry scores."""
