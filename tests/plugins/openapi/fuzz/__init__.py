"""Schemathesis against a running gateway: what is configured, what is sent, and what came of it."""
