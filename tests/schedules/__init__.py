"""Schedules: values, precision, laws, errors, events and drawing."""
