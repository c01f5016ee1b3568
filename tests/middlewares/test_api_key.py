"""Your key: who gets in, who does not, and that nobody behind the gateway ever sees it."""

from pathlib import Path
from typing import Any

import pytest

from nijika.state import VAULT
from nijika.store import keyring, keys
from nijika.store.vault import make_key
from tests.conftest import Start
from tests.gateway import Customer, Gateway, configuration, loaded, serving, upstream_table
from tests.peers import answers
from tests.peers.upstream import Upstream

PATH = "/api/account"
Fields = list[tuple[str, str]]


async def ask(gateway: Gateway, *fields: tuple[str, str]) -> tuple[int, dict[str, Any], str | None]:
    """Status, body and WWW-Authenticate of a call that needs a key."""
    async with gateway.session.get(PATH, headers=list(fields)) as answer:
        return answer.status, await answer.json(content_type=None), answer.headers.get("WWW-Authenticate")


def without_ids(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in {"request_id", "instance"}}


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_a_key_comes_in_its_own_field_or_as_bearer(gateway: Gateway, customer: Customer, scheme: str) -> None:
    own, _, _ = await ask(gateway, ("x-api-key", customer.key))
    bearer, _, _ = await ask(gateway, ("Authorization", f"{scheme} {customer.key}"))

    assert (own, bearer) == (200, 200)


@pytest.mark.parametrize(
    "fields", [[], [("Authorization", "Basic dTpw")], [("Authorization", "Bearerx")], [("Cookie", "key=x")]]
)
async def test_without_a_key_one_is_asked_for(gateway: Gateway, fields: Fields) -> None:
    status, body, challenge = await ask(gateway, *fields)

    assert (status, body["code"]) == (401, "missing-key")
    assert challenge == 'Bearer realm="nijika"'


async def test_everything_that_is_no_living_key_is_answered_alike(gateway: Gateway) -> None:
    living = await gateway.customer()
    revoked, expired, elsewhere = [await gateway.customer() for _ in range(3)]
    await gateway.pool.execute("UPDATE keys SET revoked_at = now() WHERE account = $1", revoked.account)
    await gateway.pool.execute(
        "UPDATE keys SET expires_at = now() - interval '1 s' WHERE account = $1", expired.account
    )
    await gateway.pool.execute("UPDATE keys SET digest = 'x' WHERE account = $1", elsewhere.account)
    typo = living.key[:-8] + ("a" if living.key[-8] != "a" else "b") + living.key[-7:]
    texts = {
        "malformed": "secret",
        "empty": "",
        "a digit short": living.key[:-1],
        "in capitals": living.key.upper(),
        "too long": living.key + "0" * 5000,
        "typo": typo,
        "unknown": make_key(),
        "revoked": revoked.key,
        "expired": expired.key,
        "of another digest": elsewhere.key,
    }

    own = [await ask(gateway, ("X-API-Key", text)) for text in texts.values()]
    bearer = [await ask(gateway, ("Authorization", f"Bearer {text}")) for text in texts.values()]

    kinds = {(status, str(without_ids(body)), challenge) for status, body, challenge in own + bearer}
    assert len(kinds) == 1, kinds
    status, body, challenge = own[0]
    assert (status, body["code"]) == (401, "invalid-key")
    assert challenge == 'Bearer realm="nijika", error="invalid_token"'


async def test_a_key_that_expires_later_is_let_in(gateway: Gateway, customer: Customer) -> None:
    await gateway.pool.execute("UPDATE keys SET expires_at = now() + interval '1 hour'")

    status, _, _ = await ask(gateway, ("X-API-Key", customer.key))

    assert status == 200


async def test_two_keys_are_none(gateway: Gateway, customer: Customer) -> None:
    other = await gateway.customer()

    own, _, _ = await ask(gateway, ("X-API-Key", customer.key), ("X-API-Key", other.key))
    bearer, _, _ = await ask(gateway, *(("Authorization", f"Bearer {one.key}") for one in (customer, other)))

    assert (own, bearer) == (401, 401)


async def test_an_account_may_have_several_keys_and_revoking_one_leaves_the_others(
    gateway: Gateway, customer: Customer
) -> None:
    vault, second = gateway.app[VAULT], make_key()
    async with gateway.pool.acquire() as connection:
        number = await keys.add(
            connection,
            account=customer.account,
            name="second",
            digest=vault.digest(second),
            sealed=None,
            hint=second[-4:],
        )

    before, body, _ = await ask(gateway, ("X-API-Key", second))
    async with gateway.pool.acquire() as connection:
        ended, again = await keys.revoke(connection, number), await keys.revoke(connection, number)
    after = await gateway.soon(second, 401)
    first, _, _ = await ask(gateway, ("X-API-Key", customer.key))

    assert (before, body["account"]) == (200, customer.account)
    assert (ended, again) == (True, False)
    assert (after, first) == (401, 200)


async def test_a_key_from_before_a_change_of_secrets_is_let_in(start: Start) -> None:
    before = configuration("", chain='[[middlewares]]\nuse = "api_key"', routes='[[routes]]\nuse = "account"')
    async with start(before) as gateway:
        customer = await gateway.customer()
    rotated = before.replace('secrets = ["', 'secrets = ["a new secret that was put before the old one", "')
    async with start(rotated) as gateway:
        known, _, _ = await ask(gateway, ("X-API-Key", customer.key))
    forgotten = before.replace('secrets = ["', 'secrets = ["a new secret that took the place of the old: ')
    async with start(forgotten) as gateway:
        unknown, _, _ = await ask(gateway, ("X-API-Key", customer.key))

    assert (known, unknown) == (200, 401)


async def test_a_suspended_account_is_refused_with_403_and_let_in_again(gateway: Gateway, customer: Customer) -> None:
    before, _, _ = await ask(gateway, ("X-API-Key", customer.key))
    await gateway.pool.execute("UPDATE accounts SET suspended_at = now()")
    await gateway.soon(customer.key, 403)
    suspended, body, challenge = await ask(gateway, ("X-API-Key", customer.key))
    await gateway.pool.execute("UPDATE accounts SET suspended_at = NULL")
    resumed = await gateway.soon(customer.key, 200)

    assert (suspended, body["code"], challenge) == (403, "account-suspended", None)
    assert (before, resumed) == (200, 200)


async def test_a_key_goes_only_where_its_scopes_allow(gateway: Gateway, upstream: Upstream) -> None:
    upstream.plan("*", answers.answer(200))
    narrow = await gateway.customer(scopes=["/api/removebg", "/api/charges/{id}"])
    none = await gateway.customer(scopes=[])

    async with gateway.session.post("/api/removebg", headers=narrow.fields) as allowed:
        charge = allowed.headers["X-Request-ID"]
    async with gateway.session.get(f"/api/charges/{charge}", headers=narrow.fields) as by_pattern:
        pass
    refused, body, _ = await ask(gateway, ("X-API-Key", narrow.key))
    nowhere, _, _ = await ask(gateway, ("X-API-Key", none.key))

    assert (allowed.status, by_pattern.status) == (200, 200)
    assert (refused, body["code"]) == (403, "key-out-of-scope")
    assert nowhere == 403


async def test_a_priced_call_out_of_scope_costs_nothing_and_reaches_nobody(
    gateway: Gateway, upstream: Upstream
) -> None:
    customer = await gateway.customer(scopes=[PATH])

    async with gateway.session.post("/api/removebg", data=b"p", headers=customer.fields) as answer:
        status = answer.status

    assert (status, upstream.seen) == (403, [])
    assert (await customer.balances())["available"] == "100"


@pytest.mark.parametrize("path", ["/api/removebg", "/free/x"])
async def test_key_and_cookies_never_reach_the_worker(
    gateway: Gateway, customer: Customer, upstream: Upstream, path: str
) -> None:
    upstream.plan("*", answers.answer(200))
    fields = [
        ("X-API-Key", customer.key),
        ("x-api-KEY", "") if path == "/free/x" else ("Accept", "*/*"),
        ("Authorization", f"Bearer {customer.key}"),
        ("Authorization", "Basic dXNlcjpwYXNzd29yZA=="),
        ("Proxy-Authorization", "Basic dXNlcjpwYXNzd29yZA=="),
        ("Cookie", "session=mine"),
        ("X-Custom", "stays"),
    ]

    async with gateway.session.post(path, data=b"p", headers=fields) as answer:
        status = answer.status

    seen = await upstream.request()
    names = {name.decode().lower() for name, _ in seen.headers}
    assert status == 200
    assert not names & {"x-api-key", "authorization", "proxy-authorization", "cookie"}
    assert not [value for _, value in seen.headers if customer.key.encode() in value or b"mine" in value]
    assert seen.values("X-Custom") == ["stays"]


async def test_the_worker_is_told_the_account_and_nobody_can_claim_one(
    gateway: Gateway, customer: Customer, upstream: Upstream
) -> None:
    upstream.plan("*", answers.answer(200))

    async with gateway.session.post("/api/removebg", headers=customer.fields | {"X-Nijika-Account": "1000"}):
        pass
    async with gateway.session.post("/free/x", headers={"X-Nijika-Account": "1000"}):
        pass

    assert [seen.values("X-Nijika-Account") for seen in upstream.seen] == [[str(customer.account)], []]


async def test_a_free_route_without_key_asks_for_none_and_looks_at_none(gateway: Gateway, upstream: Upstream) -> None:
    upstream.plan("*", answers.answer(200))

    async with gateway.session.get("/free/x", headers={"X-API-Key": "nonsense"}) as answer:
        status = answer.status

    assert status == 200


async def test_a_free_route_may_ask_for_a_key(start: Start, upstream: Upstream) -> None:
    upstream.plan("*", answers.answer(200))
    routes = (
        '[[routes]]\nuse = "proxy"\npath = "/x"\nmethods = ["GET"]\nupstream = "worker"\nprice = "free"\nkey = true'
    )
    async with start(configuration(upstream_table(upstream.url), routes=routes)) as gateway:
        customer = await gateway.customer("0")
        async with gateway.session.get("/x") as without:
            pass
        async with gateway.session.get("/x", headers=customer.fields) as having:
            pass

    assert (without.status, having.status) == (401, 200)
    assert "X-Credits-Charged" not in having.headers


async def test_while_the_database_is_away_a_good_key_is_not_called_wrong(
    gateway: Gateway, customer: Customer, impatient: None
) -> None:
    await gateway.pool.close()

    good, body, _ = await ask(gateway, ("X-API-Key", customer.key))
    unknown, _, _ = await ask(gateway, ("X-API-Key", make_key()))
    malformed, _, _ = await ask(gateway, ("X-API-Key", "nonsense"))

    assert (good, body["code"]) == (503, "ledger-unavailable")
    assert (unknown, malformed) == (503, 401)


async def test_a_database_that_drops_its_connections_is_no_401(gateway: Gateway, customer: Customer) -> None:
    await gateway.pool.execute("ALTER TABLE keys RENAME TO elsewhere")
    broken, body, _ = await ask(gateway, ("X-API-Key", customer.key))
    await gateway.pool.execute("ALTER TABLE elsewhere RENAME TO keys")
    mended, _, _ = await ask(gateway, ("X-API-Key", customer.key))

    assert broken in {500, 503}
    assert body["status"] == broken
    assert mended == 200


async def test_what_ends_a_key_in_one_process_ends_it_in_all_at_once(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "LIFE_SECONDS", 3600.0)
    config = loaded(tmp_path, configuration(upstream_table("http://127.0.0.1:9")))
    async with serving(config, database) as one, serving(config, database) as other:
        customer = await one.customer()
        before = [await gateway.soon(customer.key, 200) for gateway in (one, other)]
        await one.pool.execute("UPDATE accounts SET suspended_at = now()")
        suspended = [await gateway.soon(customer.key, 403) for gateway in (one, other)]
        await other.pool.execute("UPDATE accounts SET suspended_at = NULL")
        resumed = [await gateway.soon(customer.key, 200) for gateway in (one, other)]
        await one.pool.execute("UPDATE keys SET scopes = '{/api/removebg}'")
        narrowed = [await gateway.soon(customer.key, 403) for gateway in (one, other)]
        await one.pool.execute("UPDATE keys SET scopes = NULL")
        widened = [await gateway.soon(customer.key, 200) for gateway in (one, other)]
        async with one.pool.acquire() as connection:
            await keys.revoke(connection, await connection.fetchval("SELECT id FROM keys"))
        revoked = [await gateway.soon(customer.key, 401) for gateway in (one, other)]

    assert (before, suspended, resumed) == ([200, 200], [403, 403], [200, 200])
    assert (narrowed, widened, revoked) == ([403, 403], [200, 200], [401, 401])


async def test_of_a_remembered_key_the_route_still_asks_for_its_own_scope(gateway: Gateway, upstream: Upstream) -> None:
    upstream.plan("*", answers.answer(200))
    narrow = await gateway.customer(scopes=["/api/removebg"])

    statuses = []
    for path in ("/api/removebg", "/api/account") * 2:
        async with gateway.session.request("POST" if "remove" in path else "GET", path, headers=narrow.fields) as it:
            statuses.append(it.status)

    assert statuses == [200, 403, 200, 403]
