"""`nijika check` and `nijika explain`: what config.toml means, before anybody calls."""

import argparse
from ipaddress import ip_address

from nijika import credits
from nijika.commands.setting import Parsers, parser, show, table
from nijika.config import Config, load
from nijika.errors import CommandError, Problem
from nijika.limits.caller import bucket
from nijika.middlewares.rate_limit import RateLimit, Rule
from nijika.proxy.path import canonical
from nijika.route import FREE, Price, Route

COLUMNS = ("methods", "path", "price", "key", "upstream", "target", "body_bytes_max")


def add_to(parsers: Parsers) -> None:
    """The two commands."""
    parser(parsers, "check", "check config.toml; print its routes and the chain, or every mistake", _check, json=True)
    explain = parser(
        parsers, "explain", "tell which rules, route, price and upstream a call meets", _explain, json=True
    )
    explain.add_argument("method", metavar="METHOD")
    explain.add_argument("path", metavar="PATH")
    explain.add_argument("--ip", default="203.0.113.7", metavar="A", help="the caller's address")


def _check(arguments: argparse.Namespace) -> int:
    config = load(arguments.config)
    routes = [_row(route) for route in config.table()]
    chain = [link.use for link in config.middlewares]
    data = {"file": str(arguments.config), "chain": chain, "routes": routes}
    text = [
        "chain   " + (" > ".join(chain) or "(empty)"),
        "",
        *table(routes, COLUMNS),
        "",
        f"{arguments.config} is fine.",
    ]
    show(arguments, data, text)
    return 0


def _explain(arguments: argparse.Namespace) -> int:
    config = load(arguments.config)
    try:
        given = ip_address(arguments.ip)
        address = bucket(getattr(given, "ipv4_mapped", None) or given)
    except ValueError:
        raise CommandError(f'"{arguments.ip}" is no IP address.') from None
    method = arguments.method.upper()
    steps = [("request", f"{method} {arguments.path}")]
    try:
        path = canonical(arguments.path).path
        steps.append(("path", f"{path} (canonical)"))
        links = [link for link in config.middlewares if isinstance(link, RateLimit)]
        steps += [("limit", _limit(found and found[0], address)) for found in (link.find(path) for link in links)]
        bounds = filter(None, (link.find_concurrency(path) for link in links))
        steps += [("at once", f"{_who(rule, address)}: {rule.concurrency} calls under way") for rule in bounds]
        route = config.table().match(method, path).route
        steps += _told(config, route)
    except Problem as problem:
        steps.append(("refused", f"{problem.status} {problem.code}: {problem}"))
    show(
        arguments, [{"step": name, "what": what} for name, what in steps], (f"{name:8} {what}" for name, what in steps)
    )
    return 0


def _told(config: Config, route: Route) -> list[tuple[str, str]]:
    steps = [("route", f"{' '.join(route.methods)} {route.path}")]
    steps.append(("key", "needed" if route.needs_key else "not needed"))
    steps.append(("price", _price(route.price)))
    steps.append(("body", f"at most {route.body_bytes_max} bytes" + _types(route)))
    if route.upstream is None:
        return [*steps, ("answer", "made by the gateway itself")]
    steps.append(("upstream", _where(config, route.upstream)))
    fallback = config.upstreams[route.upstream].fallback
    while fallback is not None:
        steps.append(("or else", _where(config, fallback)))
        fallback = config.upstreams[fallback].fallback
    return [*steps, ("target", str(route.target))]


def _where(config: Config, upstream: str) -> str:
    return f"{upstream}: {' or '.join(config.upstreams[upstream].urls)}"


def _limit(rule: Rule | None, address: str) -> str:
    if rule is None:
        return "no prefix matches; not limited"
    rate = rule.rate
    unit = "second" if rate.seconds == 1 else f"{rate.seconds} seconds"
    many = f"{rate.count} a {unit}, {rate.burst} at once"
    return f"{_who(rule, address)}: {many} (longest matching prefix: {rule.prefix})"


def _who(rule: Rule, address: str) -> str:
    return address if rule.per == "address" else f"each {rule.per}"


def _row(route: Route) -> dict[str, object]:
    return {
        "methods": " ".join(route.methods),
        "path": route.path,
        "price": _price(route.price),
        "key": "yes" if route.needs_key else "no",
        "upstream": route.upstream,
        "target": route.target,
        "body_bytes_max": route.body_bytes_max,
    }


def _price(price: Price) -> str:
    if price == FREE:
        return "free"
    if price.capture is None:
        return credits.show(price.hold)
    return f"at most {credits.show(price.hold)}, by {price.capture}"


def _types(route: Route) -> str:
    return f", of {', '.join(route.content_types)}" if route.content_types else ""
