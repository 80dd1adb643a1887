"""The command line: `gradtx watch`, `gradtx methods`, `gradtx schedule`."""
