"""The account holder's pages, over HTTP with a real database."""
