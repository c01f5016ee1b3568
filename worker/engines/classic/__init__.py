"""The engine that needs no weights: a key for plain backdrops, GrabCut for all others."""

from worker.engines.classic.engine import Classic

__all__ = ["Classic"]
