"""Formats of logs, one per file. `known.FORMATS` is the table of all of them: copy a file and add its row."""
