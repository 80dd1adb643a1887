"""From a rule for one array to transforms of whole trees, and chains of those."""
