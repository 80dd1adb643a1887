"""Measurements at one point of the loss."""
