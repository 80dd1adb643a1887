"""What a transform is: its pair of functions, its text and its errors."""
