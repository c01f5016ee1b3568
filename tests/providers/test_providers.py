"""The OAuth servers of the tests are as strict as the real ones, or stricter."""

import asyncio

import aiohttp
import pytest
from yarl import URL

from tests.providers.client import CALLBACK, CHALLENGE, PATHS, STATE, VERIFIER, Client
from tests.providers.provider import Provider
from tests.providers.visitor import Buttons, StoppedError, authorise, sign_in

USER = {"github": "/user", "gitlab": "/api/v4/user"}
HOSTILE = "<script>alert('1')</script>\r\nSet-Cookie: a=\"b\" &amp;"


@pytest.fixture
async def client(provider: Provider, visitor: aiohttp.ClientSession) -> Client:
    await provider.allow(CALLBACK)
    await provider.person(1)
    return Client(provider, visitor)


@pytest.fixture
async def at_github(github: Provider, visitor: aiohttp.ClientSession) -> Client:
    await github.allow(CALLBACK)
    await github.person(1)
    return Client(github, visitor)


def refused(client: Client, answer: tuple[int, dict[str, str]], error: str) -> bool:
    """Whether this is the provider's way to say an error of RFC 6749."""
    status, fields = answer
    if client.provider.kind == "gitlab":
        return (status, fields["error"]) == (401 if error == "invalid_client" else 400, error)
    names = {"invalid_client": "incorrect_client_credentials", "invalid_grant": "bad_verification_code"}
    return (status, fields["error"]) == (200, names[error])


async def test_who_signs_in_with_a_code_is_whom_the_token_names(client: Client) -> None:
    await client.provider.person(2, name="Somebody else")

    callback = await authorise(client.session, client.start(), client.provider, 2)
    status, answer = await client.exchange(callback.query["code"])
    _, user = await client.get(USER[client.provider.kind], answer["access_token"])

    assert str(callback.with_query(None)) == CALLBACK
    assert set(callback.query) == {"code", "state"}
    assert callback.query["state"] == STATE
    assert (status, answer["token_type"].lower()) == (200, "bearer")
    assert (user["id"], user["name"]) == (2, "Somebody else")


async def test_a_second_sign_in_of_the_same_browser_may_be_somebody_else(client: Client) -> None:
    await client.provider.person(2)

    tokens = [(await client.exchange(await client.code(person)))[1]["access_token"] for person in (1, 2)]
    users = [(await client.get(USER[client.provider.kind], token))[1]["id"] for token in tokens]

    assert users == [1, 2]


async def test_a_visitor_who_cancels_comes_back_with_an_error_and_the_state(client: Client) -> None:
    callback = await authorise(client.session, client.start(), client.provider, None)

    assert "code" not in callback.query
    assert (callback.query["error"], callback.query["state"]) == ("access_denied", STATE)


@pytest.mark.parametrize(
    "wrong", [CALLBACK + "/", CALLBACK + "?a=b", CALLBACK.replace(":1/", ":2/"), "https://evil.example/"]
)
async def test_an_unknown_redirect_uri_ends_the_way_at_the_provider(client: Client, wrong: str) -> None:
    with pytest.raises(StoppedError, match="redirect_uri") as stopped:
        await authorise(client.session, client.start(redirect_uri=wrong), client.provider)

    assert stopped.value.status == 400


@pytest.mark.parametrize(
    "wrong", [{"code_challenge": None, "code_challenge_method": None}, {"code_challenge_method": "plain"}]
)
async def test_no_code_without_a_challenge_by_s256(client: Client, wrong: dict[str, str | None]) -> None:
    callback = await authorise(client.session, client.start(**wrong), client.provider)

    assert "code" not in callback.query
    assert callback.query["error"] == "invalid_request"


@pytest.mark.parametrize(
    ("error", "wrong"),
    [
        ("invalid_client", {"client_secret": "another"}),
        ("invalid_client", {"client_secret": None}),
        ("invalid_grant", {"code_verifier": VERIFIER + "1"}),
        ("invalid_grant", {"code_verifier": CHALLENGE}),
        ("invalid_grant", {"code_verifier": None}),
        ("invalid_grant", {"redirect_uri": "http://127.0.0.1:1/another"}),
        ("invalid_grant", {"code": "another"}),
    ],
)
async def test_no_token_for_a_wrong_exchange(client: Client, error: str, wrong: dict[str, str | None]) -> None:
    code = await client.code()

    answer = await client.exchange(code, **wrong)

    assert "access_token" not in answer[1]
    assert refused(client, answer, error)


async def test_a_code_works_once(client: Client) -> None:
    code = await client.code()
    await client.exchange(code)

    assert refused(client, await client.exchange(code), "invalid_grant")


async def test_an_unknown_token_reads_nothing(client: Client) -> None:
    status, answer = await client.get(USER[client.provider.kind], "unknown")

    assert status == 401
    assert "id" not in answer


async def test_github_answers_a_form_unless_asked_for_json(at_github: Client) -> None:
    status, answer = await at_github.exchange(await at_github.code(), "*/*")
    wrong_status, wrong = await at_github.exchange("wrong", "*/*")

    assert (status, answer["scope"], answer["token_type"]) == (200, "read:user,user:email", "bearer")
    assert (wrong_status, wrong["error"]) == (200, "bad_verification_code")


async def test_github_takes_the_secret_in_the_form_only(at_github: Client) -> None:
    basic = aiohttp.encode_basic_auth(at_github.provider.client_id, at_github.provider.client_secret)
    fields = {
        "client_id": at_github.provider.client_id,
        "grant_type": "authorization_code",
        "code": await at_github.code(),
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
    }
    url = at_github.provider.url + PATHS["github"][1]

    headers = {"Authorization": basic, "Accept": "application/json"}
    async with at_github.session.post(url, data=fields, headers=headers) as answer:
        assert (await answer.json())["error"] == "incorrect_client_credentials"


async def test_github_tells_addresses_only_to_a_token_with_that_scope(at_github: Client) -> None:
    mail = {"email": "a@example.com", "primary": True, "verified": False, "visibility": None}
    await at_github.provider.person(1, email=None, emails=[mail])
    with_scope, without = await at_github.token(), await at_github.token(scope="read:user")

    assert await at_github.get("/user/emails", with_scope) == (200, [mail])
    assert (await at_github.get("/user/emails", without))[0] == 404
    assert (await at_github.get("/user", without))[1]["email"] is None


async def test_githubs_api_wants_a_user_agent(at_github: Client) -> None:
    token = await at_github.token()
    headers = {"Authorization": f"Bearer {token}"}

    async with at_github.session.get(
        at_github.provider.url + "/user", headers=headers, skip_auto_headers=["User-Agent"]
    ) as answer:
        assert answer.status == 403


async def test_gitlab_tells_who_it_is_only_to_a_token_with_that_scope(
    gitlab: Provider, visitor: aiohttp.ClientSession
) -> None:
    await gitlab.allow(CALLBACK)
    await gitlab.person(1)
    client = Client(gitlab, visitor)

    status, answer = await client.get("/api/v4/user", await client.token(scope="read_repository"))

    assert (status, answer["error"]) == (403, "insufficient_scope")


async def test_fields_reach_the_api_as_the_test_gave_them(client: Client) -> None:
    await client.provider.person(1, id="1", name=HOSTILE, email=None, confirmed_at=None, created_at=...)

    _, user = await client.get(USER[client.provider.kind], await client.token())

    assert user["id"] == "1"
    assert user["name"] == HOSTILE
    assert user["confirmed_at"] is None
    assert "created_at" not in user


async def test_a_hostile_name_is_but_a_word_on_the_page(client: Client) -> None:
    await client.provider.person(1, name=HOSTILE)

    async with client.session.get(client.start()) as answer:
        page = await answer.text()

    assert "<script" not in page
    assert HOSTILE.replace("\r", "") in Buttons(page).words["login", "1"].replace("\r", "")


async def test_what_the_client_sent_can_be_read(client: Client) -> None:
    token = await client.token()
    await client.get(USER[client.provider.kind], token)

    seen = await client.provider.seen()

    assert seen["authorization"][0]["code_challenge"] == CHALLENGE
    assert (seen["token"][0]["form"]["code_verifier"], seen["token"][0]["form"]["redirect_uri"]) == (VERIFIER, CALLBACK)
    assert (seen["token"][0]["authorization"], seen["token"][0]["accept"]) == (None, "application/json")
    assert [(request["path"], request["authorization"]) for request in seen["api"]] == [
        (USER[client.provider.kind], f"Bearer {token}")
    ]


@pytest.mark.parametrize(
    ("fault", "found"),
    [("500", (500, "{")), ("empty", (200, "")), ("garbage", (200, "{")), ("html", (200, "<")), ("list", (200, "["))],
)
async def test_a_fault_stands_in_for_the_right_answer(client: Client, fault: str, found: tuple[int, str]) -> None:
    token = await client.token()
    await client.provider.faults(token=fault, user=fault)

    for method, path in (("POST", PATHS[client.provider.kind][1]), ("GET", USER[client.provider.kind])):
        async with client.session.request(
            method, client.provider.url + path, headers={"Authorization": f"Bearer {token}"}
        ) as answer:
            assert (answer.status, (await answer.text())[:1]) == found


async def test_a_user_without_an_id_and_an_answer_without_a_token_are_faults_too(client: Client) -> None:
    token = await client.token()
    await client.provider.faults(user="no_id", token="no_token")

    assert "id" not in (await client.get(USER[client.provider.kind], token))[1]
    assert "access_token" not in (await client.exchange("any"))[1]


async def test_a_provider_may_hang_drop_the_line_or_point_elsewhere(at_github: Client) -> None:
    await at_github.provider.faults(token="hang", user="drop", emails="redirect")

    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(at_github.exchange("any"), 0.2)
    with pytest.raises(aiohttp.ClientError):
        await at_github.get("/user", "any")
    assert await at_github.get("/user/emails", "secret") == (200, {})
    assert (await at_github.provider.seen())["elsewhere"][0]["headers"]["authorization"] == "Bearer secret"


async def test_a_fault_that_does_not_exist_is_a_mistake_of_the_test(client: Client) -> None:
    with pytest.raises(AssertionError, match="no_such"):
        await client.provider.faults(user="no_such")


async def test_a_sign_in_ends_with_the_answer_to_the_callback(client: Client) -> None:
    landing = URL(client.provider.url) / "_seen"
    await client.provider.allow(callback := str(landing.with_host("127.0.0.1")))

    answer = await sign_in(client.session, client.start(redirect_uri=callback), client.provider)

    assert answer.url.path == "/_seen"
    assert {"code", "state"} == set(answer.url.query)
    assert (await answer.json())["token"] == []
