"""What routes sell, in the words of a price list."""

from collections.abc import Iterable

from nijika import credits
from nijika.module import FREE, Price, Route

CUTOUT = "/v1/cutout"

PICTURES: dict[str, tuple[str, ...]] = {CUTOUT: ("png", "webp"), "/v1/alpha": ("png",)}
"""The paths of nijika's own worker, and the formats in which each answers, the usual one first (docs/worker.md)."""


def sold(routes: Iterable[Route]) -> list[Route]:
    """The routes that lead to workers, but for those that keep another contract, where our examples do not fit."""
    return [route for route in routes if route.upstream is not None and route.renders is None]


def takes_picture(route: Route) -> bool:
    """Whether what is sent to this route is a picture."""
    kinds = route.content_types
    return route.target in PICTURES or (bool(kinds) and all(kind.startswith("image/") for kind in kinds))


def price(price: Price) -> str:
    """What a call costs."""
    if price == FREE:
        return "free"
    amount = credits.show(price.hold)
    unit = "credit" if amount == "1" else "credits"
    return f"{amount} {unit}" if price.capture is None else f"at most {amount} {unit}, by use"


def size(bytes_max: int) -> str:
    """A number of bytes for people: 26214400 is "25 MiB"."""
    for unit, bytes_a_unit in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if bytes_max >= bytes_a_unit:
            return f"{bytes_max / bytes_a_unit:.3g} {unit}"
    return f"{bytes_max} bytes"
