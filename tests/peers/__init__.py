"""The strangers that the gateway meets: a broken upstream, clients that write bytes, wrong requests."""
