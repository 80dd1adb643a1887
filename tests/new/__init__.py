"""The skeleton of a new method, and what writes its files: `python -m tests.new NAME`."""
