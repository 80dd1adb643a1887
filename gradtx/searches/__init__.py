"""Search a learning rate along the update by evaluating the objective."""
