"""The factors m and sigma of theta <- theta - eta / sigma * m: directions and scales."""
