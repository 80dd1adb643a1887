"""Findings from features."""
