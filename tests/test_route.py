"""Which route a path and a method lead to, and which paths cannot be told apart."""

from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from nijika.errors import MethodNotAllowed, NotFound
from nijika.route import FREE, Price, Route, Routes, shape


async def serve(_: web.Request) -> web.Response:
    return web.Response()


def route(path: str, *methods: str, upstream: str | None = None) -> Route:
    return Route(methods or ("GET",), path, serve, FREE, upstream=upstream)


def found(routes: Routes, path: str, method: str = "GET") -> tuple[str, dict[str, str]]:
    match = routes.match(method, path)
    return match.route.path, match.variables


def test_to_forget_the_price_is_a_type_error() -> None:
    incomplete: Any = Route

    with pytest.raises(TypeError, match="price"):
        incomplete(("GET",), "/api/x", serve)


def test_free_is_a_price_of_nothing_and_only_that() -> None:
    assert Price(0) == FREE
    assert Price(1) != FREE
    assert Price(0, "X-Nijika-Cost") != FREE


@pytest.mark.parametrize("backwards", [False, True])
def test_a_plain_segment_goes_before_a_name_and_a_name_before_the_rest(*, backwards: bool) -> None:
    paths = ["/a/b", "/a/{x}", "/a/*", "/{x}/b", "/*", "/a/b/*"]
    routes = Routes(route(path) for path in (reversed(paths) if backwards else paths))

    assert found(routes, "/a/b") == ("/a/b", {})
    assert found(routes, "/a/c") == ("/a/{x}", {"x": "c"})
    assert found(routes, "/a/c/d") == ("/a/*", {"rest": "c/d"})
    assert found(routes, "/a/b/c") == ("/a/b/*", {"rest": "c"})
    assert found(routes, "/z/b") == ("/{x}/b", {"x": "z"})
    assert found(routes, "/z") == ("/*", {"rest": "z"})


def test_a_name_stands_for_exactly_one_segment() -> None:
    routes = Routes([route("/api/charges/{id}")])

    assert found(routes, "/api/charges/17") == ("/api/charges/{id}", {"id": "17"})
    for path in ("/api/charges", "/api/charges/", "/api/charges/1/2", "/api/charges/1/"):
        with pytest.raises(NotFound):
            routes.match("GET", path)


def test_the_rest_is_not_empty() -> None:
    routes = Routes([route("/free/*")])

    for path in ("/free", "/free/", "/freedom"):
        with pytest.raises(NotFound):
            routes.match("GET", path)


def test_what_a_path_says_is_no_regular_expression() -> None:
    routes = Routes([route("/a.b/{x}"), route("/c+d")])

    assert found(routes, "/c+d")[0] == "/c+d"
    for path in ("/aXb/1", "/ccd", "/cd"):
        with pytest.raises(NotFound):
            routes.match("GET", path)


def test_a_path_that_nobody_serves_is_404() -> None:
    routes = Routes([route("/a")])

    for path in ("/", "/b", "/a/", "/A", "/a/b"):
        with pytest.raises(NotFound):
            routes.match("GET", path)


def test_a_method_that_is_not_served_is_405_with_those_that_are() -> None:
    routes = Routes([route("/a/b", "POST", upstream="w"), route("/a/b", "PUT", upstream="w")])

    with pytest.raises(MethodNotAllowed) as refusal:
        routes.match("GET", "/a/b")

    assert refusal.value.headers["Allow"] == "POST, PUT"


def test_a_method_that_a_path_lacks_is_not_looked_for_behind_a_wider_one() -> None:
    routes = Routes([route("/a/b", "POST"), route("/a/{x}", "PUT"), route("/*", "DELETE")])

    for path, method in (("/a/b", "PUT"), ("/a/b", "DELETE"), ("/a/c", "DELETE")):
        with pytest.raises(MethodNotAllowed):
            routes.match(method, path)


def test_head_comes_with_the_gateways_own_get_only() -> None:
    routes = Routes([route("/own", "GET"), route("/proxied", "GET", upstream="w"), route("/posted", "POST")])

    assert found(routes, "/own", "HEAD")[0] == "/own"
    with pytest.raises(MethodNotAllowed) as refusal:
        routes.match("HEAD", "/proxied")
    assert refusal.value.headers["Allow"] == "GET"
    with pytest.raises(MethodNotAllowed):
        routes.match("HEAD", "/posted")


def test_allow_names_head_too() -> None:
    routes = Routes([route("/own", "GET")])

    with pytest.raises(MethodNotAllowed) as refusal:
        routes.match("POST", "/own")

    assert refusal.value.headers["Allow"] == "GET, HEAD"


def test_methods_are_told_apart_by_case() -> None:
    with pytest.raises(MethodNotAllowed):
        Routes([route("/a")]).match("get", "/a")


def test_one_path_may_have_a_route_for_each_method() -> None:
    routes = Routes([route("/a", "GET", upstream="w"), route("/a", "POST", upstream="v")])

    assert routes.match("GET", "/a").route.upstream == "w"
    assert routes.match("POST", "/a").route.upstream == "v"


def test_a_method_served_twice_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="POST /a is served twice"):
        Routes([route("/a", "GET", "POST"), route("/a", "POST")])


def test_each_route_is_listed_once_by_path() -> None:
    routes = Routes([route("/b", "GET", "POST"), route("/a/{x}"), route("/a", "PUT")])

    assert [listed.path for listed in routes] == ["/a", "/a/{x}", "/b"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("/a/{x}", "/a/{y}", True),
        ("/{a}/{b}", "/{b}/{a}", True),
        ("/a/{x}/*", "/a/{y}/*", True),
        ("/a/{x}", "/a/b", False),
        ("/a/{x}", "/a/*", False),
        ("/a", "/A", False),
        ("/a", "/a/*", False),
    ],
)
def test_paths_that_match_the_same_requests_have_one_shape(one: str, other: str, *, same: bool) -> None:
    assert (shape(one) == shape(other)) is same


@pytest.mark.parametrize("path", ["/", "/*", "/a", "/a-b_c~d.e", "/{id}", "/a/{user_name}/*", "/v1/a:b@c", "/..a"])
def test_a_path_of_canonical_segments_is_a_routes_path(path: str) -> None:
    shape(path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "a",
        "*",
        "//",
        "/a/",
        "/a//b",
        "/.",
        "/..",
        "/a/../b",
        "/a/./b",
        "/a b",
        "/a?b",
        "/a#b",
        "/a\\b",
        "/a*",
        "/*/a",
        "/a/**",
        "/{}",
        "/{A}",
        "/{a-b}",
        "/a{b}",
        "/{a}b",
        "/{a",
        "/a}",
        "/ä",
        "/a\n",
        "/a\0",
        "/x/{a}/{a}",
        "/{rest}/*",
    ],
)
def test_what_cannot_be_a_routes_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (the sentence differs by what is wrong)
        shape(path)


SEGMENTS = st.sampled_from(["a", "b", "{x}", "{y}", "{rest}", "*", "..", "", "%61", "A"])


@given(st.lists(SEGMENTS, min_size=1, max_size=4))
def test_a_path_with_a_shape_makes_a_table(segments: list[str]) -> None:
    path = "/" + "/".join(segments)
    try:
        shape(path)
    except ValueError:
        return
    routes = Routes([route(path)])
    plain = "/" + "/".join("v" if segment[:1] in {"{", "*"} else segment for segment in segments)

    assert found(routes, plain)[0] == path
