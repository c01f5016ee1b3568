"""“Continue as demo” is there in the demo, and nowhere else."""

from pathlib import Path

from nijika.local import demo
from tests.browsing import browser, person
from tests.gateway import Gateway, loaded, serving
from tests.login.conftest import site_configuration
from tests.peers.upstream import Upstream


async def test_without_the_demo_nobody_gets_in_without_a_provider(site: Gateway) -> None:
    async with browser(site) as stranger:
        page = await stranger.page("/login")
        answer = await stranger.send("/auth/demo")

    assert "Continue as demo" not in page.text
    assert answer.status == 404
    assert await site.pool.fetchval("SELECT count(*) FROM sessions") == 0


async def test_in_the_demo_one_press_signs_in_and_leads_to_where_one_wanted_to_be(
    database: str, tmp_path: Path, upstream: Upstream
) -> None:
    config = loaded(tmp_path, site_configuration(upstream, ""))
    async with serving(config, database, is_public=True, demo_user=1) as gateway:
        await person(gateway, name="demo", role="admin")
        async with browser(gateway) as visitor:
            page = await visitor.page("/login?next=/dashboard/keys")
            answer = await visitor.send("/auth/demo", {"next": "/dashboard/keys"})
            keys = await visitor.page("/dashboard/keys")
            kept = await visitor.send("/dashboard/account/delete", {"confirm": "delete"})

    assert "Continue as demo" in page.text
    assert (answer.status, answer.location) == (303, "/dashboard/keys")
    assert (keys.status, kept.status) == (200, 422)


def test_the_button_is_for_this_machine_alone() -> None:
    assert demo.button("127.0.0.1", 7) == demo.button("localhost", 7) == demo.button("::1", 7) == 7
    assert demo.button("0.0.0.0", 7) is None
    assert demo.button("192.168.1.4", 7) is None
