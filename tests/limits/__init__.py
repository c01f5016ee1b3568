"""Limits counted with a clock that the test moves."""
