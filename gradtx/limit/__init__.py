"""Limits: bound an update."""
