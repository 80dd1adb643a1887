"""Whole methods, one file each: the transform of gradients and the optimizer built on it."""
