"""Rules for logs: what may be said from the loss, |g| and the learning rate alone."""
