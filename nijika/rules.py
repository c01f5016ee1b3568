"""What must hold for config.toml as a whole, beyond each table by itself."""

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence

from nijika.errors import Mistake, Problem
from nijika.middlewares import MIDDLEWARES
from nijika.module import FREE, Middleware, Plugin, Route
from nijika.pages import files
from nijika.route import Routes, shape
from nijika.toml import did_you_mean

SECRET_CHARACTERS_MIN = 32
WHICH_TO_NAME = (
    "the text of data/secret, if there are keys already: another one makes them invalid; "
    "else make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"
)

_ORIGIN = re.compile(r"https?://(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?/?", re.ASCII)
_PORT_MAX = 65_535


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def secrets(host: str, texts: Sequence[str]) -> Iterator[Mistake]:
    """Beyond loopback, secrets may not be missing or short."""
    if is_loopback(host):
        return
    if not texts:
        yield Mistake(
            "server.secrets", f"must hold a secret, because {host} is reached from other machines", WHICH_TO_NAME
        )
    for index, text in enumerate(texts):
        if len(text) < SECRET_CHARACTERS_MIN:
            yield Mistake(
                f"server.secrets[{index}]", f"must have at least {SECRET_CHARACTERS_MIN} characters", WHICH_TO_NAME
            )


def public_url(url: str) -> Iterator[Mistake]:
    """Links and redirects are made from it, so it is an origin and nothing more."""
    match = _ORIGIN.fullmatch(url)
    if match is None or int(match[1] or 1) > _PORT_MAX:
        yield Mistake("server.public_url", f'"{url}" must be an origin such as "https://api.example.com"')


def chain(links: Sequence[tuple[int, Middleware]]) -> Iterator[Mistake]:
    """Each link's prerequisites stand before it, and none but `rate_limit` stands there twice.

    `links` come with their places in the file.
    """
    names = [link.use for _, link in links]
    for position, (index, link) in enumerate(links):
        where, earlier = f"middlewares[{index}]", names[:position]
        for need in link.prerequisites():
            if need not in earlier:
                yield Mistake(where, f'"{link.use}" needs "{need}" before it', _move(need, names))
        for name in link.after:
            if name in names and name not in earlier:
                yield Mistake(where, f'"{link.use}" must stand behind "{name}"', _move(name, names))
        if link.use in earlier and link.use in MIDDLEWARES and link.use != "rate_limit":
            yield Mistake(where, f'"{link.use}" is in the chain already', "remove one of the two")


Fallbacks = Mapping[str, str | None]
"""The name of each upstream, and of the one that takes its calls."""


def fallbacks(upstreams: Fallbacks) -> Iterator[Mistake]:
    """Each fallback exists, and no chain of them comes back to its beginning."""
    told: set[str] = set()
    for name, fallback in upstreams.items():
        where = f"upstreams.{name}.fallback"
        if fallback is not None and fallback not in upstreams:
            others = [other for other in upstreams if other != name]
            yield Mistake(where, f"there is no [upstreams.{fallback}]", did_you_mean(fallback, others))
        circle = _reach(name, upstreams)
        if upstreams.get(circle[-1]) == name and name not in told:
            told.update(circle)
            what = f"leads back to where it began: {' > '.join([*circle, name])}"
            yield Mistake(where, what, "the last of a chain has no fallback")


def _reach(name: str, upstreams: Fallbacks) -> list[str]:
    """The upstreams that a call may come to, beginning with this one."""
    reached = [name]
    while (following := upstreams.get(reached[-1])) in upstreams and following not in reached:
        assert following is not None
        reached.append(following)
    return reached


def routes(
    plugins: Sequence[tuple[int, Plugin]], links: Sequence[Middleware], upstreams: Fallbacks
) -> Iterator[Mistake]:
    """Upstreams exist, priced routes can be charged, and no two routes serve the same requests.

    `plugins` come with their places in the file.
    """
    names = {link.use for link in links}
    found: list[tuple[str, Route]] = []
    clash = False
    own = files.route()
    taken = {(method, shape(own.path)): "nijika itself" for method in own.methods_served}
    for index, plugin in plugins:
        where = f"routes[{index}]"
        yield from _missing_links(where, plugin, names)
        try:
            made = [(route, shape(route.path)) for route in plugin.routes()]
        except Exception as error:
            yield Mistake(where, f'the routes of "{plugin.use}" cannot be made: {error}')
            continue
        found += [(where, route) for route, _ in made]
        for route, form in made:
            yield from _prerequisites(where, route, names | set(plugin.prerequisites()), upstreams)
            for method in route.methods_served:
                if (method, form) in taken:
                    what = f"{method} {route.path} is served by {taken[method, form]} already"
                    clash = True
                    yield Mistake(where, what, "change one of the two")
                taken[method, form] = where
    if not clash:
        yield from _given_away(found, upstreams)


def _missing_links(where: str, plugin: Plugin, links: set[str]) -> Iterator[Mistake]:
    for need in plugin.prerequisites():
        if need not in links:
            yield Mistake(where, f'"{plugin.use}" needs "{need}", which is not in the chain', _add(need))


def _given_away(found: Sequence[tuple[str, Route]], upstreams: Fallbacks) -> Iterator[Mistake]:
    """A wildcard may lead to the very place of a worker, if only as a fallback, that another route sells for more."""
    table = Routes(route for _, route in found)
    for where, wide in found:
        for other, sold in found:
            path = _path_to(sold, wide, upstreams)
            for method in sorted(set(wide.methods) & set(sold.methods)) if path else ():
                if _route(table, method, path) is wide:
                    what = f"{method} {path} gives away for less what {other} sells ({sold.target} on {sold.upstream})"
                    yield Mistake(where, what, "give the two targets without a common prefix, or other methods")


def _route(table: Routes, method: str, path: str) -> Route | None:
    try:
        return table.match(method, path).route
    except Problem:
        return None


def _path_to(sold: Route, wide: Route, upstreams: Fallbacks) -> str:
    """The path on which callers of `wide` reach the target of `sold`; "" if they do not, or pay as much."""
    if wide.target is None or sold.target is None or wide.price.hold >= sold.price.hold:
        return ""
    if wide.upstream is None or sold.upstream not in _reach(wide.upstream, upstreams):
        return ""
    prefix = wide.target.removesuffix("*")
    if prefix == wide.target or not sold.target.startswith(prefix):
        return ""
    return wide.path.removesuffix("*") + sold.target.removeprefix(prefix).replace("*", "x")


def _prerequisites(where: str, route: Route, links: set[str], upstreams: Fallbacks) -> Iterator[Mistake]:
    if route.upstream is not None and route.upstream not in upstreams:
        what = f"there is no [upstreams.{route.upstream}]"
        yield Mistake(f"{where}.upstream", what, did_you_mean(route.upstream, upstreams))
    if route.needs_key and "api_key" not in links:
        yield Mistake(where, f'{route.path} needs a key, and there is no "api_key" in the chain', _add("api_key"))
    if route.who not in {"anyone", "visitor"} and "session" not in links:
        what = f'{route.path} is for people who are signed in, and there is no "session" in the chain'
        yield Mistake(where, what, _add("session"))
    if route.price != FREE and "pricing" not in links:
        yield Mistake(where, f'{route.path} has a price, and there is no "pricing" in the chain', _add("pricing"))


def _add(name: str) -> str:
    return f'add a table [[middlewares]] with use = "{name}"'


def _move(name: str, names: Sequence[str]) -> str:
    return f'move "{name}" up' if name in names else _add(name)
