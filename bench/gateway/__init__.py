"""This gateway beside others, each on one core; see __main__.py, and contenders/ for how each of them is set up."""
