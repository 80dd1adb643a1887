"""What every row of the registry goes through: ten contracts, references, laws, sharding, resuming, lowering, speed.

A battery asks the row and never its name. `python -m tests.batteries` runs the contracts and prints their table.
"""
