"""Each link of the chain, through a running gateway."""
