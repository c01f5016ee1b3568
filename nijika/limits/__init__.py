"""How many calls a caller may make, and how many at once: in memory, or shared in Redis."""
