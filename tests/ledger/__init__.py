"""Tests of the ledger itself, on a real PostgreSQL."""
