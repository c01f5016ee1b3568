"""Plugins, through a running gateway."""
