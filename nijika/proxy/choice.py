"""Which address of an upstream a call goes to, and what is done when all of them rest."""

import math
from collections.abc import Sequence

from nijika.errors import UpstreamFailed, UpstreamUnavailable
from nijika.proxy.place import Place
from nijika.proxy.unsent import Unsent


def choose(places: Sequence[Place], *, has_fallback: bool) -> Place | None:
    """Where a call goes that may go to any of `places`; None if one of them is worth waiting for.

    A place whose rest is over comes first, since one call has to try it; then the least busy one of those that are
    well. If all rest, the fallback helps. Without one it depends: where calls fail at once they are tried all the
    same, since that costs a moment and a worker that is back is found by the next call; where callers were kept
    waiting, one at a time is let through, and no other has to wait with it. Raises Unsent if there is nowhere to go.
    """
    well = [place for place in places if place.state == "ok"]
    due = [place for place in places if place.state == "trial" and not place.health.is_tried]
    found = _least_busy(due) or _least_busy(well)
    if found is not None or well:
        return found
    if not has_fallback:
        quick = [place for place in places if not place.health.hangs]
        found = _least_busy(quick) or _least_busy([place for place in places if not place.health.is_tried])
        if found is not None or quick:
            return found
    raise Unsent(_all_rest(places))


def _least_busy(places: Sequence[Place]) -> Place | None:
    """Of those that have room; among equals the one whose last turn is longest ago."""
    with_room = [place for place in places if place.has_room]
    return min(with_room, key=lambda place: (place.in_flight, place.last_turn), default=None)


def _all_rest(places: Sequence[Place]) -> UpstreamUnavailable | UpstreamFailed:
    if not places:  # nobody is there
        return UpstreamFailed()
    left = min(place.health.rest_left for place in places)
    return UpstreamUnavailable(math.ceil(left)) if left > 0 else UpstreamUnavailable()
