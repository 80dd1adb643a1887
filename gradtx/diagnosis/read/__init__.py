"""Evidence and features from a record or a log."""
