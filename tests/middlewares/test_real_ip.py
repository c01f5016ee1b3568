"""Who the caller is: what the worker is told, by whom it is believed, and what is only claimed."""

import pytest

from tests.conftest import Start
from tests.gateway import configuration, upstream_table
from tests.peers import answers
from tests.peers.upstream import Upstream

# The tests' own connection comes from 127.0.0.1; 10.0.0.0/8 and fd00::/8 are further proxies of the operator.
TRUSTED = '["127.0.0.0/8", "10.0.0.0/8", "fd00::/8"]'
NOBODY = "[]"
PEER = "127.0.0.1"
CALLER = "203.0.113.9"

Fields = list[tuple[str, str]]


def link(trusted: str) -> str:
    return f'[[middlewares]]\nuse = "real_ip"\ntrusted_proxies = {trusted}\n'


def for_(*lines: str) -> Fields:
    return [("X-Forwarded-For", line) for line in lines]


def forwarded(*lines: str) -> Fields:
    return [("Forwarded", line) for line in lines]


async def told(start: Start, upstream: Upstream, chain: str, fields: Fields) -> dict[str, list[str]]:
    """What the worker is told of a caller that sends these fields, by name of field in lower case."""
    upstream.plan("*", answers.answer(200))
    routes = '[[routes]]\nuse = "proxy"\npath = "/x"\nmethods = ["GET"]\nupstream = "worker"\nprice = "free"'
    text = configuration(
        upstream_table(upstream.url), server='public_url = "https://api.example.com"', chain=chain, routes=routes
    )
    async with start(text) as gateway, gateway.session.get("/x", headers=fields) as answer:
        assert answer.status == 200
    seen = await upstream.request()
    names = {name.decode().lower() for name, _ in seen.headers}
    return {name: seen.values(name) for name in names}


CLAIMS: list[Fields] = [
    for_(CALLER),
    for_(f"{CALLER}, 10.0.0.1"),
    forwarded(f"for={CALLER}"),
    [("X-Real-IP", CALLER)],
    [("True-Client-IP", CALLER), ("CF-Connecting-IP", CALLER)],
]


@pytest.mark.parametrize("fields", CLAIMS, ids=lambda fields: fields[0][0])
@pytest.mark.parametrize("chain", ["", link(NOBODY), link('["10.0.0.0/8"]')], ids=["no link", "nobody", "others"])
async def test_nobody_believes_an_untrusted_peer(start: Start, upstream: Upstream, chain: str, fields: Fields) -> None:
    seen = await told(start, upstream, chain, fields)

    assert seen["x-forwarded-for"] == [PEER]


WALKS: dict[str, tuple[Fields, str]] = {
    "nothing": ([], PEER),
    "one hop": (for_(CALLER), CALLER),
    "past trusted hops": (for_(f"{CALLER}, 10.1.1.1, 10.2.2.2"), CALLER),
    "not past the first untrusted one": (for_(f"198.51.100.1, {CALLER}, 10.1.1.1"), CALLER),
    "a claim of being trusted": (for_(f"10.9.9.9, {CALLER}"), CALLER),
    "only trusted ones": (for_("10.3.3.3, 10.2.2.2"), "10.3.3.3"),
    "lines are one list": (for_("198.51.100.1", f"{CALLER},10.1.1.1", "10.2.2.2"), CALLER),
    "spaces and tabs": (for_(f" 198.51.100.1 ,\t{CALLER}\t, 10.1.1.1 "), CALLER),
    "IPv4 with a port": (for_(f"{CALLER}:41234, 10.1.1.1:80"), CALLER),
    "IPv6": (for_("2001:db8::9, fd00::1"), "2001:db8::9"),
    "IPv6 in brackets": (for_("[2001:db8::9], [fd00::1]"), "2001:db8::9"),
    "IPv6 in brackets with a port": (for_("[2001:db8::9]:4711"), "2001:db8::9"),
    "IPv6 in another spelling": (for_("2001:0DB8:0:0::0009"), "2001:db8::9"),
    "IPv4 mapped into IPv6": (for_(f"::ffff:{CALLER}"), CALLER),
    "a trusted hop mapped into IPv6": (for_(f"{CALLER}, ::ffff:10.1.1.1"), CALLER),
    "mapped in hexadecimal": (for_("::ffff:cb00:7109"), CALLER),
    "Forwarded": (forwarded(f"for={CALLER}"), CALLER),
    "Forwarded past trusted hops": (forwarded(f"for=198.51.100.1, for={CALLER}, for=10.1.1.1"), CALLER),
    "Forwarded in several lines": (forwarded(f"for={CALLER}", "for=10.1.1.1"), CALLER),
    "Forwarded with more pairs": (forwarded(f"proto=https;for={CALLER};by=10.0.0.1;host=x"), CALLER),
    "Forwarded in capitals": (forwarded(f"For={CALLER};Proto=http"), CALLER),
    "Forwarded quoted": (forwarded(f'for="{CALLER}"'), CALLER),
    "Forwarded quoted with a port": (forwarded(f'for="{CALLER}:4711"'), CALLER),
    "Forwarded IPv6": (forwarded('for="[2001:db8::9]";proto=https'), "2001:db8::9"),
    "Forwarded IPv6 with a port": (forwarded('For="[2001:db8::9]:4711"'), "2001:db8::9"),
    "commas and semicolons in quotes": (forwarded(f'for={CALLER};host="a,b;for=198.51.100.1"'), CALLER),
    "an escaped quote": (forwarded(f'host="a\\",for=198.51.100.1";for={CALLER}'), CALLER),
    "a quote that never ends": (forwarded('for="198.51.100.1', f"for={CALLER}"), CALLER),
    "X-Forwarded-For goes first": (for_(CALLER) + forwarded("for=198.51.100.1"), CALLER),
}


@pytest.mark.parametrize(("fields", "caller"), WALKS.values(), ids=WALKS.keys())
async def test_a_trusted_peer_is_believed_up_to_the_first_untrusted_hop(
    start: Start, upstream: Upstream, fields: Fields, caller: str
) -> None:
    seen = await told(start, upstream, link(TRUSTED), fields)

    assert seen["x-forwarded-for"] == [caller]


GARBAGE = [
    "",
    "unknown",
    "_hidden",
    "localhost",
    "1.2.3",
    "1.2.3.4.5",
    "256.1.1.1",
    "0177.0.0.1",
    "3405803785",
    "1.2.3.4:",
    "1.2.3.4:http",
    "[2001:db8::9",
    "2001:db8::9]",
    "2001:db8:::9",
    "fe80::1%eth0",
    'fe80::1%x;y="z"',
    "1.2.3.4 5.6.7.8",
    "<script>",
    "'",
    "-",
]


@pytest.mark.parametrize("text", GARBAGE)
async def test_garbage_is_no_hop(start: Start, upstream: Upstream, text: str) -> None:
    seen = await told(start, upstream, link(TRUSTED), for_(text))

    assert seen["x-forwarded-for"] == [PEER]


@pytest.mark.parametrize(
    "line", ["for=_hidden", "for=unknown", 'for="_a:_b"', "for=", "for", "by=10.0.0.1", ";;;", ",,,", 'for="']
)
async def test_a_forwarded_field_that_hides_the_caller_falls_back(start: Start, upstream: Upstream, line: str) -> None:
    seen = await told(start, upstream, link(TRUSTED), forwarded(line))

    assert seen["x-forwarded-for"] == [PEER]


@pytest.mark.parametrize(
    "fields", [for_(f"{CALLER}, unknown, 10.1.1.1"), forwarded(f"for={CALLER}, for=_x, for=10.1.1.1")]
)
async def test_behind_garbage_nothing_is_believed(start: Start, upstream: Upstream, fields: Fields) -> None:
    seen = await told(start, upstream, link(TRUSTED), fields)

    assert seen["x-forwarded-for"] == ["10.1.1.1"]


@pytest.mark.parametrize(
    "claim", ['for=198.51.100.1;x="', 'for="198.51.100.1', 'x="\\', 'for=198.51.100.1;"', 'for=198.51.100.1;x="";y="']
)
@pytest.mark.parametrize("node", [CALLER, '"[2001:db8::9]"', f'"{CALLER}:80"'])
async def test_a_caller_cannot_swallow_what_a_proxy_adds_to_its_line(
    start: Start, upstream: Upstream, claim: str, node: str
) -> None:
    seen = await told(start, upstream, link(TRUSTED), forwarded(f"{claim}, for={node}"))

    assert seen["x-forwarded-for"] in ([PEER], [CALLER], ["2001:db8::9"])


FORGED = [
    ("X-Forwarded-For", "198.51.100.1"),
    ("X-Forwarded-For", CALLER),
    ("X-Forwarded-Proto", "gopher"),
    ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-Port", "666"),
    ("X-Forwarded-Server", "evil.example"),
    ("X-Forwarded-Prefix", "/evil"),
    ("X-Forwarded", "evil"),
    ("Forwarded", "for=198.51.100.1;host=evil.example"),
    ("Forwarded", "for=_evil"),
    ("X-Real-IP", "198.51.100.1"),
    ("X-Client-IP", "198.51.100.1"),
    ("X-Cluster-Client-IP", "198.51.100.1"),
    ("True-Client-IP", "198.51.100.1"),
    ("CF-Connecting-IP", "198.51.100.1"),
    ("Fastly-Client-IP", "198.51.100.1"),
    ("X-Original-URL", "/evil"),
    ("X-Rewrite-URL", "/evil"),
    ("x-nijika-account", "1"),
]
TOLD_ANEW = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded")


@pytest.mark.parametrize(("trusted", "caller"), [(NOBODY, PEER), (TRUSTED, CALLER)])
async def test_all_such_fields_are_taken_off_and_told_anew(
    start: Start, upstream: Upstream, trusted: str, caller: str
) -> None:
    seen = await told(start, upstream, link(trusted), FORGED)

    assert {name: seen[name] for name in TOLD_ANEW} == {
        "x-forwarded-for": [caller],
        "x-forwarded-proto": ["https"],
        "x-forwarded-host": ["api.example.com"],
        "forwarded": [f'for={caller};proto=https;host="api.example.com"'],
    }
    assert not {name.lower() for name, _ in FORGED} - set(TOLD_ANEW) & seen.keys()


async def test_an_ipv6_caller_is_told_in_quotes_and_brackets(start: Start, upstream: Upstream) -> None:
    seen = await told(start, upstream, link(TRUSTED), for_("2001:db8::9"))

    assert seen["forwarded"] == ['for="[2001:db8::9]";proto=https;host="api.example.com"']
