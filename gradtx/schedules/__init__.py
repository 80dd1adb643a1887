"""Schedules eta."""
