"""These tests drive Chromium: without it they are skipped, except where everything has to hold."""

import os
import shutil

import pytest


def pytest_runtest_setup() -> None:
    """Say that Chromium is missing, rather than how a driver fails without it."""
    if shutil.which("chromium") or shutil.which("chromium-browser"):
        return
    missing = "Chromium is not installed; on Debian: apt-get install chromium"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)
