"""The real clients of remove.bg and withoutBG, each pointed here by one line, with the real worker and the ledger."""

import asyncio
import base64
import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import removebg.removebg  # type: ignore[import-untyped] # it has no types
import requests
from PIL import Image
from withoutbg import APIError, WithoutBG

from tests.conftest import Start
from tests.gateway import Customer, Gateway, configuration, upstream_table
from tests.plugins.removebg.conftest import ROUTE

ROOT = Path(__file__).parents[3]
SAMPLE = ROOT / "samples" / "mug.jpg"
MODULES = ROOT / "tests" / "npm" / "node_modules"
ROUTES = ROUTE + '[[routes]]\nuse = "withoutbg"\nupstream = "worker"\nprice = "0.25"\n'

needs_npm = pytest.mark.skipif(
    not (MODULES / "remove.bg").is_dir() or shutil.which("node") is None, reason="npm or its packages are not there"
)


@pytest.fixture(scope="module")
def worker() -> Iterator[str]:
    """The picture worker with the engine that needs no weights; gives its URL."""
    command = (sys.executable, "-m", "worker", "--engine", "classic", "--port", "0")
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE) as process:
        assert process.stdout
        yield process.stdout.readline().removeprefix("listening on ").strip()
        process.kill()


@pytest.fixture
async def gateway(start: Start, worker: str) -> AsyncIterator[Gateway]:
    async with start(configuration(upstream_table(worker), routes=ROUTES)) as gateway:
        yield gateway


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def cuts_out(image: Image.Image) -> bool:
    """Whether some of the picture is gone and some of it is there."""
    alpha = np.asarray(image.convert("RGBA"))[..., 3]
    return bool((alpha == 0).mean() > 0.1 and (alpha == 255).mean() > 0.1)


async def npm(customer: Customer, call: str, **options: Any) -> dict[str, Any]:
    """What the npm client resolves to, or rejects with."""
    script = Path(__file__).with_name("remove.mjs")
    arguments = (str(MODULES), customer.gateway.url, call, json.dumps({"apiKey": customer.key, **options}))
    process = await asyncio.create_subprocess_exec(
        "node", str(script), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, errors.decode()
    told: dict[str, Any] = json.loads(out)
    return told


@needs_npm
async def test_the_npm_client_gets_a_picture_for_a_file_and_pays_once(gateway: Gateway, tmp_path: Path) -> None:
    customer = await gateway.customer()
    file = tmp_path / "result.png"

    told = await npm(customer, "removeBackgroundFromImageFile", path=str(SAMPLE), size="preview", outputFile=str(file))

    result = told["result"]
    image = opened(file.read_bytes())
    assert cuts_out(image)
    assert (int(result["resultWidth"]), int(result["resultHeight"])) == image.size
    assert image.width * image.height <= 250_000
    assert (result["creditsCharged"], result["detectedType"]) == ("0.25", "other")
    assert await customer.settled() == {"available": "99.75", "held": "0", "spent": "0.25", "granted": "100"}
    assert await gateway.violations() == {}


@needs_npm
async def test_the_npm_client_gets_what_it_asks_for_in_base64(gateway: Gateway) -> None:
    customer = await gateway.customer()
    picture = base64.b64encode(SAMPLE.read_bytes()).decode()

    told = await npm(
        customer, "removeBackgroundFromImageBase64", base64img=picture, size="full", crop=True, crop_margin="10px",
        bg_color="81d4fa", roi="0% 0% 100% 100%",
    )  # fmt: skip

    image = opened(base64.b64decode(told["result"]["base64img"]))
    assert image.width * image.height < 1200 * 900
    assert image.convert("RGB").getpixel((0, 0)) == pytest.approx((0x81, 0xD4, 0xFA), abs=6)
    assert (await customer.settled())["spent"] == "0.25"


@needs_npm
async def test_the_npm_client_is_told_what_is_wrong_and_pays_nothing(gateway: Gateway, tmp_path: Path) -> None:
    customer = await gateway.customer()
    (tmp_path / "text.jpg").write_text("no picture")

    wrong_key = await npm(customer, "removeBackgroundFromImageFile", path=str(SAMPLE), apiKey="nonsense")
    no_picture = await npm(customer, "removeBackgroundFromImageFile", path=str(tmp_path / "text.jpg"))
    unknown = await npm(customer, "removeBackgroundFromImageFile", path=str(SAMPLE), scale="50%")
    private = await npm(customer, "removeBackgroundFromImageUrl", url="http://127.0.0.1/a.jpg")

    codes = [told["errors"][0]["code"] for told in (wrong_key, no_picture, unknown, private)]
    assert codes == ["auth_failed", "invalid_file_type", "invalid_scale", "invalid_image_url"]
    assert await customer.settled() == {"available": "100", "held": "0", "spent": "0", "granted": "100"}


async def test_the_python_client_gets_a_picture_and_pays_once(
    gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = await gateway.customer()
    file = Path(shutil.copy(SAMPLE, tmp_path / "mug.jpg"))
    monkeypatch.setattr(removebg.removebg, "API_ENDPOINT", f"{gateway.url}/v1.0/removebg")  # the one line
    client = removebg.RemoveBg(customer.key, str(tmp_path / "error.log"))
    picture = base64.b64encode(SAMPLE.read_bytes()).decode()

    await asyncio.to_thread(client.remove_background_from_img_file, str(file))
    await asyncio.to_thread(
        client.remove_background_from_base64_img, picture, size="4k", new_file_name=str(tmp_path / "4k.png")
    )

    assert cuts_out(opened((tmp_path / "mug.jpg_no_bg.png").read_bytes()))
    assert opened((tmp_path / "4k.png").read_bytes()).size == (1200, 900)
    assert (await customer.settled())["spent"] == "0.5"
    assert await gateway.violations() == {}


async def test_the_python_client_raises_on_a_refusal_and_pays_nothing(
    gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = await gateway.customer("0.1")
    monkeypatch.setattr(removebg.removebg, "API_ENDPOINT", f"{gateway.url}/v1.0/removebg")
    client = removebg.RemoveBg(customer.key, str(tmp_path / "error.log"))

    with pytest.raises(requests.HTTPError, match="402"):
        await asyncio.to_thread(client.remove_background_from_img_url, "https://example.com/a.jpg")

    assert (await customer.settled())["spent"] == "0"


async def test_the_withoutbg_client_gets_a_picture_and_pays_once(gateway: Gateway) -> None:
    customer = await gateway.customer()
    client = WithoutBG.api(customer.key, base_url=gateway.url)

    image = await asyncio.to_thread(client.remove_background, SAMPLE)

    assert image.size == (1200, 900)
    assert cuts_out(image)
    assert await customer.settled() == {"available": "99.75", "held": "0", "spent": "0.25", "granted": "100"}
    assert await gateway.violations() == {}


@pytest.mark.parametrize(
    ("amount", "key", "message"),
    [("100", "nonsense", "Invalid API key"), ("0.1", None, "Insufficient credits")],
)
async def test_the_withoutbg_client_is_told_what_is_wrong_and_pays_nothing(
    gateway: Gateway, amount: str, key: str | None, message: str
) -> None:
    customer = await gateway.customer(amount)
    client = WithoutBG.api(key or customer.key, base_url=gateway.url)

    with pytest.raises(APIError, match=re.escape(message)):
        await asyncio.to_thread(client.remove_background, SAMPLE)

    assert (await customer.settled())["spent"] == "0"


async def test_withoutbgs_contract_tells_the_workers_refusal_in_its_own_form(gateway: Gateway) -> None:
    customer = await gateway.customer()
    body = {"image_base64": base64.b64encode(b"no picture").decode()}

    async with gateway.session.post("/v1.0/alpha-channel-base64", json=body, headers=customer.fields) as answer:
        told = await answer.json()

    assert (answer.status, told.keys()) == (400, {"error"})
    assert told["error"].startswith("The bytes are no picture")
    assert (await customer.settled())["available"] == "100"
