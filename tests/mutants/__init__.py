"""One plausible wrong line per rule and per line of the core that matters, and the tests that must notice it."""
