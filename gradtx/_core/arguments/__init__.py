"""Hyperparameters: ranges, checks and what the next update will use."""
