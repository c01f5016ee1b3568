"""Real-ESRGAN: our own networks under the published names of the weights, and the upscaler that runs them."""

from worker.engines.realesrgan.rrdb import RRDBNet
from worker.engines.realesrgan.srvgg import SRVGGNetCompact

__all__ = ["RRDBNet", "SRVGGNetCompact"]
