"""What to do where a test's tool is missing: skip on a person's machine, fail where nobody would notice."""

import os
import shutil
from typing import NoReturn

import pytest

BROWSERS = ("chromium", "google-chrome", "chromium-browser")


def lack(what: str) -> NoReturn:
    """Ends the test: fails it with CI set, skips it otherwise; `what` is a sentence on what is missing."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} With CI set nothing may be skipped.", pytrace=False)
    pytest.skip(what)


def chromium() -> str:
    """The path of a Chromium."""
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    lack("There is no Chromium here; on Debian: apt-get install chromium.")
