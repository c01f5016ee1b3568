"""Tells account holders' own servers what becomes of their credit, by the Standard Webhooks specification."""
