"""Directions m: which way, from past gradients."""
