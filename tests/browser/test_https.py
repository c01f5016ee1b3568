"""Behind https the cookie is bound to the host, and signing out really signs out in Chromium."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from playwright.async_api import expect
from yarl import URL

from tests.browser.conftest import Open
from tests.browser.watch import Watch
from tests.browsing import SESSION_CHAIN, person
from tests.gateway import Gateway, configuration, loaded, serving

PAGES = "".join(f'[[routes]]\nuse = "{name}"\n' for name in ("site", "login", "dashboard"))
NAME = "__Host-nijika"


async def test_a_cookie_of_https_is_bound_to_the_host_and_gone_after_the_sign_out(
    database: str, tmp_path: Path, open_page: Open, watch: Watch
) -> None:
    async with _https(database, tmp_path) as (url, gateway):
        await person(gateway, name="Ada")
        watch.allow(url)
        page = await open_page(ignore_https_errors=True)

        await page.goto(f"{url}/login")
        await page.click("text=Continue as demo")
        await expect(page).to_have_url(f"{url}/dashboard")
        (kept,) = [cookie for cookie in await page.context.cookies() if cookie["name"] == NAME]
        await page.click("text=Sign out")
        await expect(page.locator(".who >> text=Sign in")).to_be_visible()
        left = [cookie["name"] for cookie in await page.context.cookies()]
        await page.goto(f"{url}/dashboard")
        led_to = page.url
        await page.context.close()

        assert (kept["secure"], kept["httpOnly"], kept["sameSite"], kept["path"]) == (True, True, "Lax", "/")
        assert NAME not in left
        assert led_to.startswith(f"{url}/login")


@asynccontextmanager
async def _https(database: str, directory: Path) -> AsyncIterator[tuple[str, Gateway]]:
    """A gateway with a terminator of TLS in front of it, as in production."""
    target: list[URL] = []

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(target[0].host, target[0].port)
        await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))

    server = await asyncio.start_server(carry, "127.0.0.1", 0, ssl=_certificate(directory))
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    text = configuration("", server=f'public_url = "{url}"', chain=SESSION_CHAIN, routes=PAGES)
    async with serving(loaded(directory, text), database, demo_user=1) as gateway:
        target.append(URL(gateway.url))
        yield url, gateway
    server.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except (ConnectionError, ssl.SSLError):
        pass
    finally:
        writer.close()


def _certificate(directory: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = directory / "server.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context
