"""Every member of every body of the management API, with values that nobody expects: none is a failure of ours."""

import json
from typing import Any

from flask import Flask

from blueprints.management.operations import OPERATIONS
from tests.blueprints.management.calls import ok
from tests.blueprints.management.test_every_operation import Caller
from tests.conftest import Tenant

DEEP: Any = "x"
for _ in range(60):
    DEEP = {"a": DEEP}
HOSTILE = [
    "null",
    '""',
    r'"a\u0000b"',
    r'"\ud800"',
    "1e400",
    "123456789012345678901234567890",
    "-1",
    "[[]]",
    r'["\u0000"]',
    r'{"\u0000": 1}',
    r'{"k": "\ud800"}',
    '{"k": 123456789012345678901234567890123456789012345678901234567890}',
    json.dumps(DEEP),
    json.dumps("x" * 5000),
]
CHANGING = [declared for declared in OPERATIONS.values() if declared.body is not None and declared.method != "GET"]


def test_no_value_of_a_body_breaks_anything(app: Flask, acme: Tenant) -> None:
    caller = Caller(acme)
    headers = {"Authorization": f"Bearer {acme.secret_key}", "Content-Type": "application/json"}
    for value in HOSTILE:
        for declared in CHANGING:
            for name in declared.body.model_fields if declared.body else ():
                body = json.dumps({**caller.sample(declared), name: "?"}).replace('"?"', value)
                answer = acme.client.open(caller.address(declared), method=declared.method, data=body, headers=headers)
                assert answer.status_code < 500, (declared.id, name, value, answer.text)
    assert ok(acme.api("GET", f"/organizations/{acme.organization_id}"))["id"] == acme.organization_id
