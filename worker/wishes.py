"""What a caller may wish of a cut-out or an enlargement, and which wishes cannot be meant together."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from worker import layout, outputs
from worker.background import Colour
from worker.engines import Engine, Upscaler
from worker.options import Chosen, Known, address, choice, colour, name, number, switch, whole
from worker.problems import BadOption, Contradiction

RESOLUTION_MAX = 10_000  # more than any engine has

CUTOUT: Known = {
    "format": choice("png", "webp", "jpg", "zip", "auto"),
    "size": choice(*layout.MEGAPIXELS),
    "channels": choice("rgba", "alpha"),
    "bg_color": colour(),
    "bg_image": address(),
    "crop": switch(default=False),
    "crop_margin": layout.margin(),
    "roi": layout.region(),
    "quality": whole(1, 100, outputs.QUALITY),
    "resolution": whole(1, RESOLUTION_MAX),  # which of them, the engine says
    "clean_edges": switch(default=True),
}
ALPHA: Known = {"format": choice("png"), "channels": choice("alpha")}
UPSCALE: Known = {
    "model": name(),
    "scale": number(1, 6, 2),
    "denoise": number(0, 1),
    "format": choice("png", "webp", "jpg", "auto"),
    "quality": whole(1, 100, outputs.QUALITY),
}


@dataclass(frozen=True)
class Cutout:
    """How one cut-out shall be; a `resolution` of None leaves it to the engine."""

    format: str
    size: str = "auto"
    channels: str = "rgba"
    bg_color: Colour | None = None
    crop: bool = False
    crop_margin: layout.Margin | None = None
    roi: layout.Region | None = None
    quality: int = outputs.QUALITY
    resolution: int | None = None
    clean_edges: bool = True

    @classmethod
    def of(cls, chosen: Chosen, *, has_backdrop: bool) -> "Cutout":
        """Read what was chosen; `has_backdrop` tells of a background picture in the form. Raises Contradiction."""
        given = chosen.given | ({"bg_image": ""} if has_backdrop else {})
        _refuse_contradictions(given)
        values = chosen.values()
        values.pop("bg_image", None)
        return cls(**values)

    def check(self, engine: Engine) -> None:
        """Raise BadOption for a resolution that the engine does not have."""
        if self.resolution is None or self.resolution in engine.resolutions:
            return
        if not engine.resolutions:
            raise BadOption(
                f'The engine "{engine.name}" has no resolution to choose. Leave the option "resolution" out.'
            )
        known = ", ".join(map(str, engine.resolutions))
        raise BadOption(f'The option "resolution" takes, with the engine "{engine.name}", one of: {known}.')


@dataclass(frozen=True)
class Upscale:
    """How one picture shall be enlarged; a `model` of None is the upscaler's usual one."""

    format: str
    scale: float
    quality: int
    model: str | None = None
    denoise: float | None = None

    @classmethod
    def of(cls, chosen: Chosen) -> "Upscale":
        """Read what was chosen. Raises Contradiction."""
        if "quality" in chosen.given and chosen.given.get("format", "png") == "png":
            raise Contradiction(_LOSSLESS)
        return cls(**chosen.values())

    def model_of(self, upscaler: Upscaler) -> str:
        """The model to use. Raises BadOption for one that is not there, and for a denoise that it does not have."""
        model = self.model or upscaler.models[0]
        if model not in upscaler.models:
            raise BadOption(f'The option "model" takes one of: {", ".join(upscaler.models)}.')
        if self.denoise is not None and model not in upscaler.denoising:
            raise BadOption(f'The option "denoise" has no meaning with the model "{model}". Leave it out.')
        return model


_LOSSLESS = 'The option "quality" has no meaning with the format png, which loses nothing. Leave one of them out.'
_ALONE = '"channels" alpha gives the transparency alone; it cannot be had with "{}". Leave one of them out.'

_CONTRADICTIONS: tuple[tuple[Callable[[dict[str, Any]], bool], str], ...] = (
    (lambda given: "bg_color" in given and "bg_image" in given, 'Choose one of "bg_color" and "bg_image", not both.'),
    (lambda given: "crop_margin" in given and not given.get("crop"), 'The option "crop_margin" needs "crop" true.'),
    (lambda given: "quality" in given and given.get("format", "png") == "png", _LOSSLESS),
    *(
        (lambda given, option=option: option in given and given.get("channels") == "alpha", _ALONE.format(option))
        for option in ("bg_color", "bg_image", "clean_edges")
    ),
    (
        lambda given: given.get("format") == "zip" and given.get("channels") == "alpha",
        _ALONE.format("format") + " The format zip holds both.",
    ),
)


def _refuse_contradictions(given: dict[str, Any]) -> None:
    for holds, sentence in _CONTRADICTIONS:
        if holds(given):
            raise Contradiction(sentence)
