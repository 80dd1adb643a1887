"""Wrappers: transforms round transforms."""
