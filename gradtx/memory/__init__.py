"""Training in fewer bytes: what state and parameters are kept in, and how much lies where."""
