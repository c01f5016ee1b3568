"""Tests of what a machine without anything needs."""
