"""The commands of `nijika`, one noun a file; each adds its own parsers."""
