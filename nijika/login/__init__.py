"""Sign-in: what providers say about a person, and whom nijika lets in for it."""
