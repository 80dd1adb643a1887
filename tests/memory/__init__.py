"""Memory and scale: shards of the state, matrices over devices, several processes, a TPU without one."""
