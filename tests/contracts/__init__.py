"""The ten contracts of a transform, for every row of the registry and every mix of gradient and parameter dtype.

`python -m tests.contracts` runs them and prints the table.
"""
