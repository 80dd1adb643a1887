"""Transforms round transforms."""
