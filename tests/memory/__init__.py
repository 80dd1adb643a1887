"""Tests of training in fewer bytes."""
