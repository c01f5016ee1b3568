"""remove.bg's contract."""
