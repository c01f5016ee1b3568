"""The image itself beside the decoder's maps: cut into tiles, the tiles stacked as channels."""

from torch import Tensor, nn

from worker.engines.birefnet.variants import TileOrder

INNER_CHANNELS = 64


class ImageBlock(nn.Module):
    """Two convolutions over stacked tiles of the image, with nothing between them."""

    def __init__(self, count: int, outer: int, order: TileOrder) -> None:
        super().__init__()
        self.count, self.order = count, order
        self.conv1 = nn.Conv2d(3 * count * count, INNER_CHANNELS, 3, padding=1)
        self.conv_out = nn.Conv2d(INNER_CHANNELS, outer, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """Take (N, 3, H, W), sides multiples of `count`, and return (N, outer, H / count, W / count)."""
        maps: Tensor = self.conv_out(self.conv1(stack(image, self.count, self.order)))
        return maps


def stack(image: Tensor, count: int, order: TileOrder) -> Tensor:
    """Cut (N, C, H, W) into count x count tiles and stack them: (N, C * count * count, H / count, W / count).

    The channel of a tile is (colour * count + row) * count + column in the order chw, and
    (column * count + row) * C + colour in the order whc.
    """
    pictures, colours, height, width = image.shape
    tiles = image.view(pictures, colours, count, height // count, count, width // count)
    axes = (0, 1, 2, 4, 3, 5) if order == "chw" else (0, 4, 2, 1, 3, 5)
    return tiles.permute(*axes).reshape(pictures, -1, height // count, width // count)
