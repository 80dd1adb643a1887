"""Training in fewer bytes: parameters in bfloat16 that learn, and state in few bits."""
