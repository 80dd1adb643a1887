"""Training in fewer bytes on each device: state in shards and few bits, bfloat16 parameters that learn, plans."""
