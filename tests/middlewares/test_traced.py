"""Traces, with a real collector and a worker that tells what it was sent."""

import asyncio
import importlib
import importlib.util
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nijika.errors import ConfigError
from nijika.middlewares import traced
from nijika.traces import otlp
from tests.collector import Collector
from tests.conftest import Start
from tests.gateway import CHAIN, Gateway, configuration, loaded, upstream_table
from tests.peers import answers
from tests.peers.upstream import Upstream

ROOT = Path(__file__).parents[2]
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00"
REAL_IP = '[[middlewares]]\nuse = "real_ip"\n'


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with Collector.start() as collector:
        yield collector


def traces(collector: Collector, settings: str = "") -> str:
    return f'[traces]\nendpoint = "{collector.url}"\n{settings}\n'


def table(upstream: Upstream, more: str = "") -> str:
    return upstream_table(upstream.url) + more


async def call(gateway: Gateway, path: str = "/api/removebg", **fields: str) -> int:
    customer = await gateway.customer()
    sent = {**customer.fields, **{name.replace("_", "-"): text for name, text in fields.items()}}
    async with gateway.session.post(path, data=b"picture", headers=sent) as answer:
        await answer.read()
        return answer.status


def parent_of(upstream: Upstream) -> tuple[str, str, bool]:
    """The trace and the span that the worker was told of, and whether they are recorded (W3C Trace Context, 3.2.2)."""
    version, trace, span, flags = str(upstream.seen[0].value("traceparent")).split("-")
    assert version == "00"
    return trace, span, bool(int(flags, 16) & 1)


async def test_a_call_is_a_trace_of_request_hold_upstream_and_settle(
    start: Start, upstream: Upstream, collector: Collector
) -> None:
    upstream.plan("*", answers.answer(200, b"cut out"))
    settings = 'service_name = "shop"\nheaders = { Authorization = "Bearer token" }'
    async with start(configuration(table(upstream, traces(collector, settings)), chain=REAL_IP + CHAIN)) as gateway:
        assert await call(gateway, "/api/removebg?secret=hunter2", traceparent=SAMPLED, tracestate="a=b") == 200

    request, hold, settle = (collector.span(name) for name in ("POST /api/removebg", "hold", "settle"))
    worker = collector.span("POST worker")
    assert [(span.kind, span.trace, span.parent) for span in (request, hold, worker, settle)] == [
        ("server", TRACE, PARENT),
        ("internal", TRACE, request.id),
        ("client", TRACE, request.id),
        ("internal", TRACE, request.id),
    ]
    assert request.attributes.pop("nijika.request_id")
    assert request.attributes == {
        "http.request.method": "POST",
        "http.route": "/api/removebg",
        "http.response.status_code": 200,
        "url.path": "/api/removebg",
        "url.scheme": "http",
        "client.address": "127.0.0.1",
    }
    assert worker.attributes == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "nijika.upstream": "worker",
        "server.address": "127.0.0.1",
        "server.port": int(upstream.url.rpartition(":")[2]),
    }
    assert hold.attributes == {"nijika.micro_credits": 1_000_000}
    assert settle.attributes == {"nijika.micro_credits": 1_000_000, "nijika.reason": "captured"}
    assert request.service == "shop"
    assert collector.fields[0]["Authorization"] == "Bearer token"
    assert upstream.seen[0].value("traceparent") == f"00-{TRACE}-{worker.id}-01"
    assert upstream.seen[0].value("tracestate") == "a=b"


async def test_a_failure_is_seen_as_one_and_tells_no_more_than_its_code(
    start: Start, upstream: Upstream, collector: Collector
) -> None:
    upstream.plan("*", answers.failed(500))
    async with start(configuration(table(upstream, traces(collector)))) as gateway:
        assert await call(gateway) == 502
        assert await call(gateway, "/nowhere/hunter2") == 404

    request, worker = collector.span("POST /api/removebg"), collector.span("POST worker")
    lost = collector.span("POST")
    failed = [(span.failed, span.attributes.get("error.type")) for span in (request, worker, lost)]
    assert failed == [(True, "upstream-failed"), (True, "upstream-failed"), (False, None)]
    assert collector.span("settle").attributes["nijika.reason"] == "upstream-failed"
    assert (lost.attributes["http.response.status_code"], "http.route" in lost.attributes) == (404, False)
    assert answers.SECRET.decode() not in str(collector.spans)


@pytest.mark.parametrize("settings", ["", "[traces]\nsample = 0.5\n"])
async def test_while_traces_are_off_a_callers_own_pass_unchanged(
    start: Start, upstream: Upstream, settings: str
) -> None:
    upstream.plan("*", answers.answer(200))
    async with start(configuration(table(upstream, settings))) as gateway:
        assert await call(gateway, traceparent=SAMPLED, tracestate="vendor=1,other=2") == 200
        assert await call(gateway) == 200

    seen = [(seen.value("traceparent"), seen.value("tracestate")) for seen in upstream.seen]
    assert seen == [(SAMPLED, "vendor=1,other=2"), (None, None)]


@pytest.mark.parametrize(
    "fields",
    [
        {"traceparent": "00-nonsense-x-01", "tracestate": "a=b"},
        {"traceparent": f"00-{'0' * 32}-{PARENT}-01", "tracestate": "a=b"},
        {},
    ],
)
async def test_a_worker_is_never_sent_a_parent_that_is_none(
    start: Start, upstream: Upstream, collector: Collector, fields: dict[str, str]
) -> None:
    upstream.plan("*", answers.answer(200))
    async with start(configuration(table(upstream, traces(collector)))) as gateway:
        assert await call(gateway, **fields) == 200

    request, worker = collector.span("POST /api/removebg"), collector.span("POST worker")
    assert (request.parent, request.trace not in {TRACE, "0" * 32}) == ("", True)
    assert parent_of(upstream) == (request.trace, worker.id, True)
    assert upstream.seen[0].value("tracestate") is None


@pytest.mark.parametrize(("sample", "parent"), [(1.0, UNSAMPLED), (0.0, SAMPLED), (0.0, None)])
async def test_what_is_not_recorded_is_one_trace_all_the_same_and_nobody_outside_can_have_more_recorded(
    start: Start, upstream: Upstream, collector: Collector, sample: float, parent: str | None
) -> None:
    upstream.plan("*", answers.answer(200))
    async with start(configuration(table(upstream, traces(collector, f"sample = {sample}")))) as gateway:
        assert await call(gateway, **({"traceparent": parent} if parent else {})) == 200

    trace, own, is_recorded = parent_of(upstream)
    assert (trace == TRACE, own != PARENT, is_recorded) == (parent is not None, True, False)
    assert collector.spans == []


async def test_a_collector_that_hangs_keeps_neither_calls_nor_the_end_waiting(
    start: Start, upstream: Upstream, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp, "CLOSE_SECONDS", 0.2)
    monkeypatch.setattr(otlp, "EXPORT_SECONDS", 60.0)
    upstream.plan("*", answers.answer(200))
    collector.hangs = True
    async with asyncio.timeout(20):
        async with start(configuration(table(upstream, traces(collector)))) as gateway:
            statuses = [await call(gateway) for _ in range(3)]

    assert statuses == [200] * 3
    await asyncio.wait_for(collector.arrived.wait(), 5)


async def test_a_collector_that_is_away_costs_nobody_anything(
    start: Start, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp, "CLOSE_SECONDS", 0.2)
    upstream.plan("*", answers.answer(200))
    nobody = '[traces]\nendpoint = "http://127.0.0.1:9"\n'
    async with asyncio.timeout(25):
        async with start(configuration(table(upstream, nobody))) as gateway:
            assert await call(gateway) == 200


def test_while_they_are_off_nothing_of_opentelemetry_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(configuration(upstream_table("http://127.0.0.1:9")))
    code = (
        "import sys; sys.modules['opentelemetry'] = None; from pathlib import Path; from nijika.app import build; from nijika.config import load; "
        "import nijika.commands.serve, nijika.local.process; "
        f"build(load(Path({str(tmp_path / 'config.toml')!r})), database_url='postgresql://x'); "
        "print([name for name in sys.modules if name.startswith(('opentelemetry.', 'nijika.traces.'))])"
    )

    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert told.stdout == "[]\n"


def test_without_the_extra_the_file_is_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(name: str, *more: Any) -> Any:
        if name.startswith("opentelemetry.exporter"):
            raise ModuleNotFoundError(name)
        return importlib.util.find_spec(name, *more)

    monkeypatch.setattr(traced, "find_spec", lacking)
    worker = upstream_table("http://127.0.0.1:9")

    with pytest.raises(ConfigError, match=r"traces.*pip install 'nijika\[traces\]'"):
        loaded(tmp_path, configuration(worker + '[traces]\nendpoint = "http://127.0.0.1:4318"\n'))
    loaded(tmp_path, configuration(worker + "[traces]\nsample = 1\n"))


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ('endpoint = "127.0.0.1:4318"', "no address of a collector"),
        ('endpoint = "ftp://x"', "no address of a collector"),
        ("sample = 1.5", "traces.sample"),
        ('service_name = ""', "traces.service_name"),
        ('end_point = "http://x"', "endpoint"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, setting: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        loaded(tmp_path, configuration(f"[traces]\n{setting}\n"))


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("http://c:4318", "http://c:4318/v1/traces"),
        ("http://c:4318/", "http://c:4318/v1/traces"),
        ("https://c/otlp/v1/traces", "https://c/otlp/v1/traces"),
    ],
)
def test_an_endpoint_without_a_path_is_where_collectors_listen(given: str, meant: str) -> None:
    assert traced.Traces(endpoint=given).endpoint == meant
