"""Arithmetic on one array and on trees of them."""
