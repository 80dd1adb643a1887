"""Tests of what watches training."""
