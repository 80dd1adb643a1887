"""Wrappers: transforms around transforms."""
