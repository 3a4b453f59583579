"""A SECRET_KEY that changes while people are signed in: with the former one as fallback they notice nothing."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from app import create_app
from config import Settings
from tests.blueprints.profile.conftest import Visitor
from tests.blueprints.profile.page_checks import CheckingClient
from tests.conftest import SECRET_KEY

NEW_KEY = "the secret key after the change, long enough"
NEW_TOKEN = "/organization/directory-sync/tokens/new"


@pytest.fixture
def after_restart(app: Flask, environ: dict[str, str], acme_admin: Any) -> Callable[..., Visitor]:
    """Acme's admin with the cookie from before, at an installation that was started with other settings."""

    def restart(**settings: str) -> Visitor:
        restarted = create_app(Settings.from_environment({**environ, **settings}))
        restarted.test_client_class = CheckingClient
        visitor = Visitor(restarted.test_client())
        visitor.cookie = acme_admin.cookie
        return visitor

    return restart


def test_a_session_and_an_open_form_survive_the_change(acme_admin: Any, after_restart: Callable[..., Visitor]) -> None:
    form = acme_admin.get(NEW_TOKEN)
    visitor = after_restart(SECRET_KEY=NEW_KEY, SECRET_KEY_FALLBACKS=SECRET_KEY)
    assert visitor.get(NEW_TOKEN).heading == form.heading
    sent = visitor.send(form, label="Sent after the change")
    assert sent.status_code == 200 and "Sent after the change" in sent.text


def test_without_the_fallback_the_session_is_over(acme_admin: Any, after_restart: Callable[..., Visitor]) -> None:
    form = acme_admin.get(NEW_TOKEN)
    visitor = after_restart(SECRET_KEY=NEW_KEY)
    assert (
        visitor.get(NEW_TOKEN, status=visitor.open(NEW_TOKEN, follow_redirects=True).status_code).heading
        != form.heading
    )
    assert visitor.send(form, label="Sent after the change").status_code == 400
