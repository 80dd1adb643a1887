"""Scripts as a user of optax has them; `tests/test_one_import.py` runs each with optax and with gradtx as optax."""
