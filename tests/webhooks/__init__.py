"""Messages to account holders: addresses, signatures, retries, and what is told once."""
