"""Schedules as their papers write them, in plain NumPy; the references of transforms stand in `tests/registry`."""
