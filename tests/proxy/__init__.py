"""Tests of nijika/proxy."""
