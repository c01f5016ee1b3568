"""remove.bg's parameters, and what the worker calls them; what cannot be had here is refused by name.

Source: the OpenAPI document of remove.bg 1.0 (schemas RemoveBgMultipart, RemoveBgJson).
"""

import re
from collections.abc import Callable, Container, Mapping

from nijika.plugins.removebg.errors import Refused, invalid

SOURCES = ("image_file", "image_file_b64", "image_url")
BACKGROUNDS = ("bg_color", "bg_image_file", "bg_image_url")
FILES = {"image_file": "image", "bg_image_file": "bg_image"}
"""The parameters that are files, and what the worker calls them."""

HINTS = frozenset({"type", "type_level", "shadow_method", "shadow_opacity"})
"""They only help remove.bg's own classifier, or do nothing any more, or nothing without a shadow, and are let pass."""

SIZES = {
    "auto": "auto", "preview": "preview", "small": "preview", "regular": "preview", "medium": "medium", "hd": "hd",
    "full": "full", "4k": "full", "50MP": "auto",  # of 50 megapixels there, and as large as the picture here
}  # fmt: skip
FORMATS = ("auto", "png", "jpg", "zip", "webp")

_LENGTH = r"\d+(?:\.\d+)?(?:px|%)"
_ROI = re.compile(rf"{_LENGTH}(?: {_LENGTH}){{3}}", re.ASCII)
_MARGIN = re.compile(rf"(?:0|{_LENGTH})(?: (?:0|{_LENGTH})){{0,3}}", re.ASCII)
_COLOUR = re.compile(r"#?(?:[0-9a-fA-F]{3,4}|[0-9a-fA-F]{6}|[0-9a-fA-F]{8})|[A-Za-z]{3,32}", re.ASCII)
_YES, _NO = ("true", "1"), ("false", "0")


def check_sources(given: Container[str]) -> None:
    """Refuse unless there is one picture, and one background at the most; `given` holds what is not empty."""
    sources = [name for name in SOURCES if name in given]
    if not sources:
        detail = "Please provide the source image in the image_url, image_file or image_file_b64 parameter."
        raise Refused("missing_source", "No image given", detail)
    if len(sources) > 1:
        title = (
            "Multiple image sources given: Please provide either the image_url, image_file or image_file_b64 parameter."
        )
        raise Refused("multiple_sources", title)
    if len([name for name in BACKGROUNDS if name in given]) > 1:
        title = (
            "Multiple background sources given: Please provide either the bg_color, the bg_image_url or the "
            "bg_image_file parameter."
        )
        raise Refused("multiple_bg_sources", title)


def translated(given: Mapping[str, str]) -> dict[str, str]:
    """The worker's options for these parameters, sources left aside; Refused names the first that cannot be had."""
    options = {"size": _size(given.get("size", "preview")), "format": _choice("format", given, FORMATS)}
    for name, value in given.items():
        if name in _READERS:
            options.update(_READERS[name](value))
        elif name not in HINTS and name not in ("size", "format", *SOURCES):
            raise unknown(name, "It is not known here, or not to be had.")
    if options.get("crop") != "true":
        options.pop("crop_margin", None)  # it has no effect then
    return options


def unknown(name: str, detail: str) -> Refused:
    """A parameter that is not read here."""
    return Refused("unknown_parameter", f"Unknown parameter {name[:80]}", detail)


def _size(value: str) -> str:
    if value not in SIZES:
        raise Refused("invalid_size", "Invalid value for parameter 'size'", f"It is one of: {', '.join(SIZES)}.")
    return SIZES[value]


def _choice(name: str, given: Mapping[str, str], values: tuple[str, ...]) -> str:
    value = given.get(name, values[0])
    if value not in values:
        raise invalid(name, f"It is one of: {', '.join(values)}.")
    return value


Reader = Callable[[str], dict[str, str]]


def _like(name: str, pattern: re.Pattern[str]) -> Reader:
    """A parameter that the worker reads just so."""

    def read(value: str) -> dict[str, str]:
        if pattern.fullmatch(value) is None:
            raise invalid(name)
        return {name: value}

    return read


def _only(name: str, *values: str) -> Reader:
    """A parameter of which one way alone can be had here."""

    def read(value: str) -> dict[str, str]:
        if value.lower() not in values:
            raise invalid(name, f'Here {name} can only be "{values[0]}".')
        return {}

    return read


def _crop(value: str) -> dict[str, str]:
    if value.lower() not in (*_YES, *_NO):
        raise invalid("crop", "It is true or false.")
    return {"crop": "true" if value.lower() in _YES else "false"}


def _channels(value: str) -> dict[str, str]:
    if value not in ("rgba", "alpha"):
        raise Refused("invalid_channels", "Invalid value for parameter 'channels'", "It is rgba or alpha.")
    return {"channels": value}


_READERS: dict[str, Reader] = {
    "channels": _channels,
    "crop": _crop,
    "crop_margin": _like("crop_margin", _MARGIN),
    "roi": _like("roi", _ROI),
    "bg_color": _like("bg_color", _COLOUR),
    "bg_image_url": lambda value: {"bg_image": value},
    "scale": _only("scale", "original", "100%"),
    "position": _only("position", "original"),
    "add_shadow": _only("add_shadow", *_NO),
    "shadow_type": _only("shadow_type", "none"),
    "semitransparency": _only("semitransparency", *_YES),
}
