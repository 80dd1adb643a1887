"""Reports and pictures of what was found."""
