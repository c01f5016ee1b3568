"""Every charge and grant is listed, filtered and exported, with the reason of each refund."""

import csv
import html
import io
import re
from contextlib import AsyncExitStack
from uuid import UUID

import pytest

from nijika import request_id
from nijika.ledger.grant import grant
from nijika.pages.reasons import sentence
from nijika.state import COOKIE
from tests.gateway import Gateway
from tests.peers import faults, raw
from tests.peers.upstream import Upstream
from tests.plugins.dashboard.conftest import Holder

PATH = "/dashboard/transactions"


async def _call(site: Gateway, holder: Holder) -> int:
    async with site.session.post("/api/removebg", data=b"x", headers=holder.customer.fields) as answer:
        await answer.read()
        return answer.status


async def _many(site: Gateway, holder: Holder, count: int) -> None:
    """Charges of the last hours, a tenth of them refunded, for looks alone."""
    await site.pool.execute(
        """INSERT INTO charges (id, account, key, route, held, captured, state, owner, deadline, status, reason,
                                opened_at, settled_at)
           SELECT (overlay(uuid_floor(now() - n * interval '1 second')::text PLACING lpad(to_hex(n), 12, '0') FROM 25))
                      ::uuid,
                  $1, 1, '/api/removebg', 1000000, CASE WHEN n % 10 = 0 THEN 0 ELSE 1000000 END,
                  CASE WHEN n % 10 = 0 THEN 'refunded' ELSE 'captured' END, gen_random_uuid(), now(), 200,
                  CASE WHEN n % 10 = 0 THEN 'upstream-failed' END, now() - n * interval '1 second', now()
             FROM generate_series(1, $2::int) n""",
        holder.customer.account,
        count,
    )


async def test_an_account_begins_with_what_it_was_given(ada: Holder) -> None:
    page = await ada.browser.page(PATH)

    assert "Given by the operator" in page.text
    assert '<td data-label="Credits" class="number">100</td>' in page.text


async def test_a_refund_tells_its_reason_in_a_sentence(site: Gateway, ada: Holder, upstream: Upstream) -> None:
    upstream.plan("*", faults.reset())
    assert await _call(site, ada) == 502

    page = await ada.browser.page(f"{PATH}?kind=refunded")

    assert "1 given back" in page.text
    assert "The worker failed." in page.text
    assert "Given by the operator" not in page.text


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("caller-gone", "The caller hung up before the work was done."),
        ("owner-lost", "The gateway that worked on it went away."),
        ("status-415", "The worker did not accept it (status 415)."),
        ("upstream-timeout", "The worker took too long."),
        ("signup", "signup"),
        ("", ""),
        (None, ""),
    ],
)
def test_reasons_are_sentences(reason: str | None, words: str) -> None:
    assert sentence(reason) == words


async def test_nobody_sees_the_transactions_of_another_account(ada: Holder, bob: Holder, site: Gateway) -> None:
    await _call(site, ada)

    assert "/api/removebg" in (await ada.browser.page(PATH)).text
    assert "<code>/api/removebg</code>" not in (await bob.browser.page(PATH)).text
    assert "/api/removebg" not in (await bob.browser.page(f"{PATH}.csv")).text


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("", 21),
        ("kind=captured", 18),
        ("kind=refunded", 2),
        ("kind=held", 0),
        ("kind=grant", 1),
        ("kind=nonsense", 21),
        ("route=/api/removebg", 20),
        ("route=/nothing", 0),
        ("key=1", 20),
        ("key=2", 0),
        ("key=x", 21),
        ("since=2000-01-01&until=2000-01-02", 0),
        ("since=2000-01-01", 21),
        ("until=2999-01-01", 21),
        ("kind=refunded&route=/api/removebg&key=1", 2),
    ],
)
async def test_filters_choose_what_is_listed_and_exported(site: Gateway, ada: Holder, query: str, rows: int) -> None:
    await _many(site, ada, 20)

    page = await ada.browser.page(f"{PATH}?{query}")
    link = html.unescape(re.findall(r'href="([^"]*)" download', page.text)[0])
    file = await ada.browser.page(link)

    assert page.text.count("Number ") == rows
    assert len(list(csv.reader(io.StringIO(file.text)))) == rows + 1


@pytest.mark.parametrize("query", ["since=yesterday", "until=2026-02-30", "before=1"])
async def test_what_cannot_be_read_is_refused_with_a_sentence(ada: Holder, query: str) -> None:
    assert (await ada.browser.page(f"{PATH}?{query}")).status == 400


async def test_ten_thousand_rows_are_paged_by_key_and_none_is_missed_or_shown_twice(site: Gateway, ada: Holder) -> None:
    await _many(site, ada, 10_000)
    seen: list[str] = []
    path, pages = PATH, 0
    while path and pages < 5:
        page = (await ada.browser.page(path)).text
        seen += [part.partition("<")[0] for part in page.split("Number ")[1:]]
        following = page.partition('rel="next"')[0].rpartition('href="')[2].partition('"')[0]
        path, pages = (following if 'rel="next"' in page else ""), pages + 1
        # What is new meanwhile stands before the first page, and moves none of the others.
        async with site.pool.acquire() as connection:
            await grant(connection, request_id.make(), ada.customer.account, 1, "more")

    ids = await site.pool.fetch(
        "SELECT id FROM charges WHERE account = $1 ORDER BY id DESC LIMIT 249", ada.customer.account
    )
    assert len(seen) == 250
    assert seen[1:] == [str(row["id"]) for row in ids]


async def test_the_file_holds_all_rows_with_exact_amounts(site: Gateway, ada: Holder) -> None:
    await _many(site, ada, 2_500)
    await _call(site, ada)

    file = await ada.browser.page(f"{PATH}.csv")

    lines = list(csv.DictReader(io.StringIO(file.text)))
    assert file.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert "attachment" in file.headers["Content-Disposition"]
    assert len(lines) == 2_502
    assert {line["change"] for line in lines} == {"-1", "0", "100"}
    assert UUID(lines[0]["id"]) > UUID(lines[-1]["id"])
    assert {line["reason"] for line in lines if line["kind"] == "refunded"} == {"The worker failed."}


async def test_slow_readers_of_files_keep_nobody_from_the_database(site: Gateway, ada: Holder, bob: Holder) -> None:
    """There are fewer connections than readers, none of whom reads anything."""
    await _many(site, ada, 30_000)
    cookie = f"{site.app[COOKIE].cookie_name}={ada.browser.cookie}"
    head = f"GET {PATH}.csv HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n".encode()
    async with AsyncExitStack() as readers:
        for _ in range(site.pool.get_max_size() + 3):
            reader = await readers.enter_async_context(raw.connect(site.url, receive_buffer_bytes=4096))
            await reader.send(head)
            await reader.read(1)  # it has begun

        async with site.session.get("/api/account", headers=bob.customer.fields) as answer:
            assert answer.status == 200


@pytest.mark.parametrize("reason", ["\uff1d1+1", "=1+1", "+1", "-1+1", "@x", "\tx", "\rx"])
async def test_a_cell_never_becomes_a_formula(site: Gateway, ada: Holder, reason: str) -> None:
    async with site.pool.acquire() as connection:
        await grant(connection, request_id.make(), ada.customer.account, 1, reason)

    lines = list(csv.DictReader(io.StringIO((await ada.browser.page(f"{PATH}.csv")).text)))

    assert lines[0]["reason"] == f"'{reason}"
