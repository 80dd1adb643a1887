"""The suite: references, contracts, laws, errors, mutants."""
