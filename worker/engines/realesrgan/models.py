"""The published Real-ESRGAN models as data: their networks, their files, and the digests of those."""

from dataclasses import dataclass

from worker.engines.realesrgan.rrdb import RRDBNet
from worker.engines.realesrgan.srvgg import SRVGGNetCompact


@dataclass(frozen=True)
class Model:
    """A published model: `blocks` of an RRDBNet, or else `convolutions` of an SRVGGNetCompact.

    `sha256` is the digest of the published .pth file; `noisy` names a twin that was trained to keep noise, so that
    weights between the two remove as much of it as is asked for.
    """

    scale: int
    sha256: str
    blocks: int = 0
    convolutions: int = 0
    noisy: str | None = None

    def network(self) -> RRDBNet | SRVGGNetCompact:
        """The network without its weights."""
        if self.blocks:
            return RRDBNet(scale=self.scale, blocks=self.blocks)
        return SRVGGNetCompact(scale=self.scale, convolutions=self.convolutions)


# Each digest is given by several public projects independently of each other, read in 2026 in a stored index of
# public repositories; nothing was downloaded here.
MODELS = {
    "RealESRGAN_x4plus": Model(4, "4fa0d38905f75ac06eb49a7951b426670021be3018265fd191d2125df9d682f1", blocks=23),
    "RealESRNet_x4plus": Model(4, "a820b9bde89a874d7599d545567308ce6c128fc8754a53208eda016d40aa81df", blocks=23),
    "RealESRGAN_x4plus_anime_6B": Model(
        4, "f872d837d3c90ed2e05227bed711af5671a6fd1c9f7d7e91c911a61f155e99da", blocks=6
    ),
    "RealESRGAN_x2plus": Model(2, "49fafd45f8fd7aa8d31ab2a22d14d91b536c34494a5cfe31eb5d89c2fa266abb", blocks=23),
    "realesr-general-x4v3": Model(
        4,
        "8dc7edb9ac80ccdc30c3a5dca6616509367f05fbc184ad95b731f05bece96292",
        convolutions=32,
        noisy="realesr-general-wdn-x4v3",
    ),
    "realesr-animevideov3": Model(
        4, "b8a8376811077954d82ca3fcf476f1ac3da3e8a68a4f4d71363008000a18b75d", convolutions=16
    ),
}

# Files that are half of a model.
TWINS = {
    "realesr-general-wdn-x4v3": Model(
        4, "1641f8c4464b9f097c9fdda5589273713f67cf59f3d909e0bd688f0cee269dca", convolutions=32
    ),
}


def find(name: str) -> Model:
    """The model or twin `name`. Raises ValueError with the names that there are."""
    found = MODELS.get(name) or TWINS.get(name)
    if found is None:
        raise ValueError(f"There is no Real-ESRGAN model called {name!r}; there are {', '.join((*MODELS, *TWINS))}.")
    return found
