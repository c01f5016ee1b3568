"""Behind pgbouncer in transaction mode, with fewer connections to PostgreSQL than a gateway has to it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from nijika.errors import ConfigError, StartError
from nijika.local.serving import bring_up_to_date
from nijika.store import keyring
from tests.gateway import Customer, configuration, loaded, serving, upstream_table
from tests.peers import answers
from tests.peers.upstream import Upstream
from tests.pgbouncer import PgBouncer

PATH = "/api/removebg"


@pytest.fixture
def bouncer(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PgBouncer]:
    """In front of the test's database, running."""
    bouncer = PgBouncer(tmp_path_factory.mktemp("pgbouncer"), database)
    bouncer.start()
    yield bouncer
    bouncer.stop()


def table(url: str, *, pgbouncer: bool = True, more: str = "") -> str:
    return f'[database]\nurl = "{url}"\npgbouncer = {str(pgbouncer).lower()}\n{more}'


async def call(customer: Customer) -> int:
    async with customer.gateway.session.post(PATH, data=b"picture", headers=customer.fields) as answer:
        await answer.read()
        return answer.status


async def test_calls_at_once_are_held_and_charged_exactly(
    bouncer: PgBouncer, upstream: Upstream, tmp_path: Path
) -> None:
    upstream.plan("*", answers.answer(200, b"cut-out"), answers.failed(), answers.answer(200, b"cut-out"))
    config = loaded(tmp_path, table(bouncer.url) + configuration(upstream_table(upstream.url)))
    async with serving(config, bouncer.url) as gateway:
        customers = [await gateway.customer() for _ in range(5)]

        statuses = await asyncio.gather(*(call(customer) for customer in customers for _ in range(30)))
        reports = [await customer.settled() for customer in customers]

        assert set(statuses) <= {200, 502}
        assert sum(float(report["spent"]) for report in reports) == statuses.count(200)
        assert {report["held"] for report in reports} == {"0"}
        assert await gateway.violations() == {}


async def test_while_it_is_away_calls_are_503_and_nothing_has_to_be_restarted_by_hand(
    bouncer: PgBouncer, upstream: Upstream, tmp_path: Path
) -> None:
    upstream.plan("*", answers.answer(200, b"cut-out"))
    config = loaded(tmp_path, table(bouncer.url) + configuration(upstream_table(upstream.url)))
    async with serving(config, bouncer.url) as gateway:
        customer = await gateway.customer()
        assert await call(customer) == 200

        bouncer.stop()
        away = await call(customer)
        bouncer.start()
        async with asyncio.timeout(30):
            while (back := await call(customer)) != 200:
                assert back == 503

        assert away == 503
        assert await gateway.violations() == {}


async def test_past_it_changes_of_keys_are_heard_at_once(
    bouncer: PgBouncer, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "LIFE_SECONDS", 3600.0)
    settings = table(bouncer.url, more=f'listen_url = "{database}"\n')
    config = loaded(tmp_path, settings + configuration(upstream_table("http://127.0.0.1:9")))
    async with serving(config, bouncer.url) as gateway:
        customer = await gateway.customer()
        before = await gateway.soon(customer.key, 200)
        await gateway.pool.execute("UPDATE keys SET revoked_at = now()")

        assert (before, await gateway.soon(customer.key, 401)) == (200, 401)


async def test_through_it_nobody_listens_and_what_was_read_of_a_key_ends_by_itself(
    bouncer: PgBouncer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "LIFE_SECONDS", 0.5)
    config = loaded(tmp_path, table(bouncer.url) + configuration(upstream_table("http://127.0.0.1:9")))
    async with serving(config, bouncer.url) as gateway:
        customer = await gateway.customer()
        before = await gateway.soon(customer.key, 200)
        await gateway.pool.execute("UPDATE keys SET revoked_at = now()")

        assert (before, await gateway.soon(customer.key, 401)) == (200, 401)
        assert config.database.heard_at(bouncer.url) is None


async def test_the_schema_is_brought_up_to_date_through_it(bouncer: PgBouncer) -> None:
    await asyncio.gather(*(bring_up_to_date(bouncer.url, pgbouncer=True) for _ in range(6)))


async def test_without_the_setting_a_sentence_names_it(bouncer: PgBouncer, upstream: Upstream, tmp_path: Path) -> None:
    config = loaded(tmp_path, table(bouncer.url, pgbouncer=False) + configuration(upstream_table(upstream.url)))

    with pytest.raises(StartError, match=r"If it stands behind pgbouncer: \[database\] pgbouncer = true\."):
        async with serving(config, bouncer.url):
            pass


def test_in_front_of_the_embedded_database_it_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="it needs its url"):
        loaded(tmp_path, "[database]\npgbouncer = true\n" + configuration(upstream_table("http://127.0.0.1:1")))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ('listen_url = "postgresql://host/name"', "it needs pgbouncer = true, or can be left out"),
        ('pgbouncer = true\nlisten_url = "embedded"', "is the address of PostgreSQL itself"),
        ('pgbouncer = true\nlisten_url = "redis://host"', "is the address of PostgreSQL itself"),
    ],
)
def test_where_to_listen_is_an_address_past_a_pgbouncer(settings: str, sentence: str, tmp_path: Path) -> None:
    text = f'[database]\nurl = "postgresql://host/name"\n{settings}\n'

    with pytest.raises(ConfigError, match=sentence):
        loaded(tmp_path, text + configuration(upstream_table("http://127.0.0.1:1")))
