"""Tests of `gradtx.migration`."""
