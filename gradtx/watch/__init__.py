"""See training: record it inside the jitted step, say why it is stuck, probe the surface, report."""
