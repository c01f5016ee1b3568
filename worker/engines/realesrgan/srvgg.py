"""The small generator of Real-ESRGAN: plain convolutions at the picture's own size, enlarged at the very end.

Wang et al., Real-ESRGAN, published models of 2022. Written from the published names and shapes of the weights.
"""

from torch import Tensor, nn
from torch.nn import functional

from worker.engines.realesrgan.rrdb import convolution


class SRVGGNetCompact(nn.Module):
    """Learns what is to be added to the picture enlarged by repeating its pixels."""

    def __init__(self, scale: int = 4, features: int = 64, convolutions: int = 32) -> None:
        super().__init__()
        self.scale = scale
        layers: list[nn.Module] = [convolution(3, features), nn.PReLU(features)]
        for _ in range(convolutions):
            layers += [convolution(features, features), nn.PReLU(features)]
        self.body = nn.ModuleList([*layers, convolution(features, 3 * scale * scale)])

    def forward(self, pictures: Tensor) -> Tensor:
        """Take RGB (N, 3, H, W) in 0..1 and return (N, 3, scale H, scale W), not clamped."""
        maps = pictures
        for layer in self.body:
            maps = layer(maps)
        repeated = functional.interpolate(pictures, scale_factor=float(self.scale), mode="nearest")
        return functional.pixel_shuffle(maps, self.scale) + repeated
