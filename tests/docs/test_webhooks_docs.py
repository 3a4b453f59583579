"""docs/webhooks.md and docs/api.md: the code does what the page says, and the addresses and options exist."""

import base64
import json
import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from cli.running import listen_command
from clock import now_ms
from tests.conftest import ROOT
from webhooks.schedule import HOUR, MINUTE, RETRY_DELAYS
from webhooks.signing import new_signing_secret, signature_headers

PAGE = (ROOT / "docs" / "webhooks.md").read_text()
PAGES = PAGE + (ROOT / "docs" / "api.md").read_text()
SECRET, FORMER, FOREIGN = (new_signing_secret() for _ in range(3))
BODY = json.dumps({"id": "evt_1", "name": "Надежда"}, ensure_ascii=False).encode()

# Runs the page's function on what stands on standard input, and says what it returned or that it threw.
NODE = """
const { body, headers, secret } = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
import(process.argv[2]).then(({ verify }) => {
  try { console.log(JSON.stringify({ event: verify(Buffer.from(body, "base64"), headers, secret) })); }
  catch (error) { console.log(JSON.stringify({ error: error.message })); }
});
"""


class Refused(Exception):
    """The code on the page did not believe a delivery."""


Verify = Callable[[bytes, dict[str, str], str], Any]


def code(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def run_python() -> dict[str, Any]:
    names: dict[str, Any] = {}
    for block in code("python"):
        exec(block, names)
    return names


def in_python(body: bytes, headers: dict[str, str], secret: str) -> Any:
    try:
        return run_python()["verify"](body, headers, secret)
    except Exception as error:
        raise Refused from error


@pytest.fixture
def in_node(tmp_path: Path) -> Verify:
    node = shutil.which("node")
    if node is None:
        missing = "Node is not installed; on Debian: apt-get install nodejs"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    [block] = code("js")
    (tmp_path / "verify.mjs").write_text(block)
    (tmp_path / "run.cjs").write_text(NODE)

    def verify(body: bytes, headers: dict[str, str], secret: str) -> Any:
        given = json.dumps({"body": base64.b64encode(body).decode(), "headers": headers, "secret": secret})
        command = [node, str(tmp_path / "run.cjs"), str(tmp_path / "verify.mjs")]
        answer = json.loads(subprocess.run(command, input=given, capture_output=True, text=True, check=True).stdout)
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["event"]

    return verify


@pytest.fixture(params=["python", "node"])
def verify(request: pytest.FixtureRequest) -> Verify:
    return in_python if request.param == "python" else request.getfixturevalue("in_node")


def signed(*secrets: str, age: int = 0) -> dict[str, str]:
    return signature_headers("evt_1", now_ms() // 1000 - age, BODY, secrets or (SECRET,))


def test_the_code_returns_what_this_server_signs(verify: Verify) -> None:
    assert verify(BODY, signed(), SECRET) == {"id": "evt_1", "name": "Надежда"}


@pytest.mark.parametrize("secret", [SECRET, FORMER], ids=["new", "former"])
def test_the_code_verifies_with_either_secret_while_one_is_rotated(verify: Verify, secret: str) -> None:
    assert verify(BODY, signed(SECRET, FORMER), secret)["id"] == "evt_1"


@pytest.mark.parametrize("age", [-240, 240])
def test_the_code_lets_five_minutes_pass(verify: Verify, age: int) -> None:
    assert verify(BODY, signed(age=age), SECRET)["id"] == "evt_1"


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param(BODY + b" ", signed(), id="tampered with"),
        pytest.param(BODY, signed(FOREIGN), id="signed with another secret"),
        pytest.param(BODY, signed(FOREIGN, FORMER), id="two signatures and none fits"),
        pytest.param(BODY, signed(age=3600), id="old"),
        pytest.param(BODY, signed(age=-3600), id="of the future"),
        pytest.param(BODY, {**signed(), "webhook-timestamp": "soon"}, id="no time"),
        pytest.param(BODY, {**signed(), "webhook-timestamp": str(now_ms() // 1000 + 1)}, id="another time"),
        pytest.param(BODY, {**signed(), "webhook-id": "evt_2"}, id="another id"),
        pytest.param(BODY, {**signed(), "webhook-signature": "v1"}, id="half a signature"),
        pytest.param(BODY, {**signed(), "webhook-signature": "v1,AAAA"}, id="short signature"),
        pytest.param(BODY, {**signed(), "webhook-signature": signed()["webhook-signature"][:-8]}, id="cut signature"),
        pytest.param(
            BODY, {**signed(), "webhook-signature": "v2" + signed()["webhook-signature"][2:]}, id="another version"
        ),
        *(
            pytest.param(BODY, {name: value for name, value in signed().items() if name != missing}, id=f"no {missing}")
            for missing in signed()
        ),
    ],
)
def test_the_code_refuses_what_must_not_be_believed(verify: Verify, body: bytes, headers: dict[str, str]) -> None:
    with pytest.raises(Refused):
        verify(body, headers, SECRET)


# -- Copies and order ---------------------------------------------------------------------


def person_event(sequence: int, event_type: str, email: str, organization_id: str = "org_1") -> dict[str, Any]:
    return {
        "id": f"evt_{organization_id}_{sequence}",
        "type": event_type,
        "sequence": sequence,
        "organization_id": organization_id,
        "data": {"user": {"id": "user_1", "email_address": email}},
    }


ADDED = person_event(1, "scimUser.provisioned", "ada@acme.example")
CHANGED = person_event(2, "scimUser.updated", "augusta@acme.example")
ENDED = person_event(3, "scimUser.deprovisioned", "augusta@acme.example")
GROUP = {"id": "evt_g", "type": "scimGroup.created", "sequence": 4, "organization_id": "org_1", "data": {"group": {}}}


@pytest.mark.parametrize(
    ("events", "email", "is_member"),
    [
        ([ADDED], "ada@acme.example", True),
        ([ADDED, CHANGED, ENDED, GROUP], "augusta@acme.example", False),
        ([CHANGED, ADDED], "augusta@acme.example", True),
        ([ADDED, ENDED, CHANGED], "augusta@acme.example", False),
        ([ADDED, CHANGED, ADDED, CHANGED], "augusta@acme.example", True),
        ([ENDED, CHANGED, ADDED], "augusta@acme.example", False),
        ([ADDED, person_event(9, "scimUser.deprovisioned", "x", "org_2")], "ada@acme.example", True),
    ],
)
def test_the_code_handles_copies_and_any_order(events: list[Any], email: str, is_member: bool) -> None:
    names = run_python()
    database = sqlite3.connect(":memory:")
    database.executescript(names["TABLES"])
    for event in events:
        names["apply"](event, database)
    query = "SELECT email_address, is_member FROM people WHERE organization_id = 'org_1'"
    assert database.execute(query).fetchall() == [(email, is_member)]


# -- What the page names --------------------------------------------------------------------


def test_every_address_that_the_pages_name_is_there_and_the_other_way_round(app: Flask) -> None:
    rules = {re.sub(r"<[^>]+>", "{id}", rule.rule) for rule in app.url_map.iter_rules() if rule.rule.startswith("/v1")}
    named = {
        path.split("?")[0]
        for path in re.findall(r"(/v1/[a-z{}/?_=.-]+)", re.sub(r"```sh.*?```", "", PAGES, flags=re.DOTALL))
    }

    assert named == rules


def test_every_option_of_listen_that_the_page_names_is_there() -> None:
    known = {option for parameter in listen_command.params for option in parameter.opts}
    table = PAGE[PAGE.index("`listen` registers") : PAGE.index("## Register")]
    assert set(re.findall(r"`(--[a-z-]+)", table)) <= known
    variables = {str(parameter.envvar) for parameter in listen_command.params}
    assert set(re.findall(r"AUTHN_SCIM_\w+", PAGE)) <= variables


def test_the_page_tells_the_retries_as_they_are() -> None:
    told = re.search(r"tried again (.*?) after\s+the attempt before", PAGE, re.DOTALL)
    assert told
    units = {"minute": MINUTE, "hour": HOUR}
    waits = [int(number) * units[unit] for number, unit in re.findall(r"(\d+)\s+(minute|hour)", told[1])]
    assert tuple(waits) == RETRY_DELAYS
