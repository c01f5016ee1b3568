"""Modal as an upstream, as far as it can be had on this machine."""
