"""BiRefNet: our own modules under the published names of the weights, and the engine that runs them."""

from worker.engines.birefnet.config import BiRefNetConfig
from worker.engines.birefnet.model import BiRefNet

__all__ = ["BiRefNet", "BiRefNetConfig"]
