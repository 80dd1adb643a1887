"""Scales sigma: how far each parameter may move, from past magnitudes."""
