"""What runs inside a watched step."""
