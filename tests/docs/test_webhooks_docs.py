"""docs/webhooks.md and docs/api.md: the Python verifies what this server signs, and the addresses exist."""

import re

import pytest
from flask import Flask
from standardwebhooks import WebhookVerificationError

from clock import now_ms
from tests.conftest import ROOT
from webhooks.signing import new_signing_secret, signature_headers

PAGE = (ROOT / "docs" / "webhooks.md").read_text()
PAGES = PAGE + (ROOT / "docs" / "api.md").read_text()


def test_the_code_verifies_an_event_and_refuses_a_forged_one() -> None:
    code = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert code
    secret = new_signing_secret()
    names = {"SIGNING_SECRET": secret}
    exec(code[1], names)
    body = '{"id": "evt_1"}'
    headers = signature_headers("evt_1", now_ms() // 1000, body.encode(), [secret])

    handle = names["handle"]
    assert handle(body.encode(), headers) == {"id": "evt_1"}  # type: ignore[operator]
    with pytest.raises(WebhookVerificationError):
        handle(b'{"id": "evt_2"}', headers)  # type: ignore[operator]


def test_every_address_that_the_pages_name_is_there_and_the_other_way_round(app: Flask) -> None:
    rules = {re.sub(r"<[^>]+>", "{id}", rule.rule) for rule in app.url_map.iter_rules() if rule.rule.startswith("/v1")}
    named = {path.split("?")[0] for path in re.findall(r"(/v1/[a-z{}/?_=-]+)", PAGES)}

    assert named == rules
