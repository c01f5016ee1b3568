"""How many calls a caller may make: GCRA."""
