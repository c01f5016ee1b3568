"""The numbers of several processes."""
