"""Measurements: contenders side by side in one run, in rounds, because machines are shared and noisy."""
