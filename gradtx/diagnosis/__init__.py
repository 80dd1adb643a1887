"""Why training is stuck: record it, read the record, judge it, show it."""
