"""Bounds on an update."""
