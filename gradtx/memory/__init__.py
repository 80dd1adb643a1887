"""State and parameters in fewer bytes: shards of the state over a mesh of devices."""
