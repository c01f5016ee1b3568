"""The published BiRefNets as data: backbone, resolution, tile order, and where their weights lie."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

TileOrder: TypeAlias = Literal["chw", "whc"]

TILE_ORDERS: tuple[TileOrder, TileOrder] = ("chw", "whc")


@dataclass(frozen=True)
class Backbone:
    """The sizes of a Swin Transformer: channels of the first stage, blocks and heads of each, side of a window."""

    embed_dim: int
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    window: int


@dataclass(frozen=True)
class Variant:
    """One set of weights: what it was trained for, and where it is published.

    `resolution` is (height, width) in pixels, what a picture is brought to before the network; with
    `keeps_proportions` it only says to how many pixels. `revision` is the commit that the id on the hub is pinned to,
    `sha256` the digest of its model.safetensors, where it is known. `tile_order` follows from the date of the first
    publication (the order changed on 2024-11-05) and is no more than that: weights can be trained again under the
    same name. `python -m worker.weights verify` looks closer.
    """

    backbone: Backbone
    resolution: tuple[int, int]
    tile_order: TileOrder
    hub_id: str | None = None
    revision: str | None = None
    sha256: str | None = None
    keeps_proportions: bool = False


LARGE = Backbone(embed_dim=192, depths=(2, 2, 18, 2), heads=(6, 12, 24, 48), window=12)
TINY = Backbone(embed_dim=96, depths=(2, 2, 6, 2), heads=(3, 6, 12, 24), window=7)

SQUARE = (1024, 1024)
SQUARE_2K = (2048, 2048)
WIDE_2K = (1440, 2560)

# Revisions and digests are those that several public projects pin independently of each other, read in 2026 in a
# stored index of public repositories; nothing was downloaded here.
VARIANTS = {
    "general": Variant(
        LARGE,
        SQUARE,
        "whc",
        "ZhengPeng7/BiRefNet",
        "e2bf8e4460fc8fa32bba5ea4d94b3233d367b0e4",
        "9ab37426bf4de0567af6b5d21b16151357149139362e6e8992021b8ce356a154",
    ),
    "lite": Variant(
        TINY,
        SQUARE,
        "whc",
        "ZhengPeng7/BiRefNet_lite",
        "7838f1c3472f827cd8ce13ab5ccc2ce48077360f",
        "4417d89795250e698c3cb0ae8df15743810065f646f48a694fdfa7ca052d0815",
    ),
    "lite-2K": Variant(TINY, WIDE_2K, "whc", "ZhengPeng7/BiRefNet_lite-2K", "67d658fa863b1e716c3854270645e68860007d0e"),
    "HR": Variant(
        LARGE,
        SQUARE_2K,
        "chw",
        "ZhengPeng7/BiRefNet_HR",
        "a7a562f6fd16021180f2f4348f4de003a2d3d1e1",
        "9d678bafec0b0019fbb073b7fd02f05ede25dc4b15254f23b2fb0be333200c0d",
    ),
    "matting": Variant(
        LARGE,
        SQUARE,
        "whc",
        "ZhengPeng7/BiRefNet-matting",
        "eccde0a8cbdce7ac5fecfeb06340fe7b949e85d9",
        "a9875de5b1e6c8eb5fdaa8c727a82927ce442cdc87ba3abee6a77e6fa46c25bb",
    ),
    "HR-matting": Variant(
        LARGE,
        SQUARE_2K,
        "chw",
        "ZhengPeng7/BiRefNet_HR-matting",
        "5d6b6f8adcb5b417c871b1d84ceaae9871355b7f",
        "a5a4de698739ea5e0e8bbab28e1b293dde95092b87a442d566cbc585c53cef55",
    ),
    "portrait": Variant(
        LARGE, SQUARE, "whc", "ZhengPeng7/BiRefNet-portrait", "b6561965a70070d9143fd9e558f6ca3c481510db"
    ),
    "dynamic": Variant(
        LARGE,
        SQUARE,
        "chw",
        "ZhengPeng7/BiRefNet_dynamic",
        "280306042f57b7a33854319da62fd86aaa89ec4c",
        "e3d2e4884e51ff30f0cd630edc6b1e41b06b7f23a0a2a5169f7b7cb33a711c2d",
        keeps_proportions=True,  # trained at all sizes from 256 to 2304 pixels a side, says its project
    ),
    # The backbone of "general" by its size, for weights of one's own.
    "large": Variant(LARGE, SQUARE, "chw"),
}


def find(name: str) -> Variant:
    """The variant `name`, a key of VARIANTS. Raises ValueError with the names that there are."""
    if name not in VARIANTS:
        raise ValueError(f"There is no BiRefNet called {name!r}; there are {', '.join(VARIANTS)}.")
    return VARIANTS[name]


def tile_order(text: str) -> TileOrder:
    """The order of tiles that `text` names. Raises ValueError if it is neither chw nor whc."""
    for order in TILE_ORDERS:
        if text == order:
            return order
    raise ValueError(f"The tile order is chw or whc, not {text!r}.")
