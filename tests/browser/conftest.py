"""These tests drive Chromium: without it they are skipped, except where everything has to hold."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser

from app import create_app
from config import Settings
from database import db
from organizations.organizations import bootstrap
from organizations.sign_in import make_sign_in_link
from tests.browser.windows import Window, new_window, running_browser, served
from tests.conftest import SECRET_KEY, Tenant


def pytest_runtest_setup() -> None:
    """Say that Chromium is missing, rather than how a driver fails without it."""
    if shutil.which("chromium") or shutil.which("chromium-browser"):
        return
    missing = "Chromium is not installed; on Debian: apt-get install chromium"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)


@dataclass
class Site:
    """An application served to a browser, with an organization of its own."""

    app: Flask
    url: str
    tenant: Tenant

    def sign_in_link(self) -> str:
        with self.app.app_context(), db.unit_of_work() as session:
            token = make_sign_in_link(session, self.tenant.organization_id, self.tenant.admin_id)[1]
        return f"{self.url}/sign-in/{token}"

    def new_organization(self, name: str) -> Tenant:
        with self.app.app_context(), db.unit_of_work() as session:
            made = bootstrap(session, name)
        client = self.app.test_client()
        return Tenant(client, made.organization_id, made.user_id, made.secret_key, made.scim_token, made.sign_in_token)


@pytest.fixture(scope="module")
def site(module_sqlite_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One server for the tests of a module, each of which works in an organization of its own."""
    environ = {
        "DATA_DIR": str(tmp_path_factory.mktemp("data")),
        "DATABASE_URL": module_sqlite_url,
        "REDIS_URL": redis_url,
        "SECRET_KEY": SECRET_KEY,
        "PUBLIC_URL": "http://localhost",  # a browser keeps Secure cookies from plain HTTP
        "SCIM_RATE_LIMIT": "100000 per second",
        "WEBHOOK_ALLOW_HTTP": "1",
        "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
    }
    app = create_app(Settings.from_environment(environ))
    app.config["TESTING"] = True
    with served(app) as url:
        site = Site(app, url, Tenant(app.test_client(), "", "", "", "", ""))
        site.tenant = site.new_organization("Acme")
        yield site
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture
def open_window(chromium: Browser) -> Iterator[Callable[..., Window]]:
    windows: list[Window] = []

    def open_one(**kwargs: Any) -> Window:
        windows.append(new_window(chromium, **kwargs))
        return windows[-1]

    yield open_one
    for window in windows:
        window.context.close()
