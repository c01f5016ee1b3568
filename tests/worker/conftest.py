"""A real worker on a free loopback port, and a client that talks to it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.util import find_spec
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from PIL import Image

from worker.server import Settings, Worker, runner

Start = Callable[..., Awaitable[str]]

# test_torch.py says so, and fails with CI set.
NEURAL = ["test_birefnet*.py", "test_deform.py", "test_realesrgan*.py", "test_weights*.py"]
collect_ignore_glob = [] if find_spec("torch") else NEURAL


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "worker" in item.path.parts:
            # pixels.py lets Pillow grumble about broken metadata; pytest would turn that into errors.
            item.add_marker(pytest.mark.filterwarnings("ignore::UserWarning:PIL"))


@pytest.fixture(autouse=True)
def _bounds_of_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker sets them for its whole process, which tests share."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)


@pytest.fixture
def whole(request: pytest.FixtureRequest) -> bool:
    """Whether the neural tests that take long run as well."""
    return bool(request.config.getoption("--all-vectors"))


@pytest.fixture
def workers() -> list[Worker]:
    """Every worker that the test has started."""
    return []


@pytest.fixture
async def start(workers: list[Worker]) -> AsyncIterator[Start]:
    """Start workers: `await start(pixels_max=…)` gives a base URL once the engine is loaded."""
    runners: list[web.AppRunner] = []

    async def begin(**settings: Any) -> str:
        worker = Worker(Settings(**{"waiting_max": 50, **settings}))
        workers.append(worker)
        run = runner(worker, drain_seconds=1)
        runners.append(run)
        await run.setup()
        await web.TCPSite(run, "127.0.0.1", 0).start()
        await worker.device.models()
        return f"http://127.0.0.1:{run.addresses[0][1]}"

    yield begin
    for run in runners:
        await run.cleanup()


@pytest.fixture
async def url(start: Start) -> str:
    return await start()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        yield session
