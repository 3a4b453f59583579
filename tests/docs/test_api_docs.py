"""docs/api.md: its recipes are run, in a shell and in Python, against a server; so are the lines of a walkthrough."""

import contextlib
import io
import json
import os
import re
import subprocess
from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest
from flask import Flask
from werkzeug.serving import make_server

from tests.conftest import ROOT, Tenant

PAGE = (ROOT / "docs" / "api.md").read_text()

WALKTHROUGH = r"""
curl https://<FAPI_URL>/v1/organizations/org_01.../scim/endpoint \
-H "Authorization: Bearer <secret_key>"

curl -X POST https://<FAPI_URL>/v1/organizations/org_01.../scim/tokens \
-H "Authorization: Bearer <secret_key>" \
-H "Content-Type: application/json" \
-d '{ "name": "Okta — Production" }'

curl -X PUT https://<FAPI_URL>/v1/organizations/org_01.../scim/attribute-mappings \
-H "Authorization: Bearer <secret_key>" \
-H "Content-Type: application/json" \
-d '{
"mapping": {
"groups[0].value": "{{ value | downcase | replace: \"admins\", \"org:admin\" | default: \"org:member\" }}.organization_role"
}
}'
"""  # noqa: E501  (as they stand)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def server(app: Flask) -> Iterator[str]:
    """A real HTTP server over the application under test."""
    serving = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=serving.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{serving.server_port}"
    serving.shutdown()
    thread.join(20)
    serving.server_close()


@pytest.fixture
def environment(server: str, acme: Tenant) -> dict[str, str]:
    return {"SERVER": server, "SECRET_KEY": acme.secret_key, "ORGANIZATION_ID": acme.organization_id}


def shell(script: str, environment: dict[str, str]) -> str:
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def objects(text: str) -> list[Any]:
    """The JSON objects that stand one after the other in a text."""
    found, at, decoder = [], 0, json.JSONDecoder()
    while (at := text.find("{", at)) >= 0:
        value, at = decoder.raw_decode(text, at)
        found.append(value)
    return found


def test_the_recipes_for_a_shell_do_what_they_say(acme: Tenant, environment: dict[str, str]) -> None:
    first, *others = blocks("sh")
    assert re.findall(r"(\w+)=", first) == list(environment)
    endpoint, token, mapping, key, log = objects(shell("\n".join(others), environment))
    assert endpoint["endpoint_url"].endswith("/scim/v2/")
    assert (token["name"], token["token"][:5]) == ("Okta — Production", "scim_")
    assert list(mapping["mapping"]) == ["groups[*].value"]
    assert (key["scope"], key["organization_id"]) == ("read", acme.organization_id)
    assert [act["details"]["name"] for act in log["data"]] == ["Reports", "Acme — first key"]


def test_the_recipes_for_python_do_what_they_say(
    acme: Tenant, globex: Tenant, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    names: dict[str, Any] = {}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for block in blocks("python"):
            exec(block, names)
    lines = printed.getvalue().splitlines()
    assert [line for line in lines if line.startswith(("Acme", "Globex"))] == [
        "Acme None org:admin",
        "Globex None org:admin",
    ]
    [link] = [line for line in lines if line.startswith("opens")]
    assert "/sign-in/signin_" in link
    assert len([line for line in lines if "scimToken.issued" in line]) == 2
    with pytest.raises(RuntimeError, match=r"422: .*name.*\(req_"):
        names["call"]("POST", "/organizations", {"name": " "})
    assert names["call"]("GET", f"/organizations/{acme.organization_id}")["name"] == "Acme"


def test_the_python_recipe_waits_when_it_is_asked_to(
    environ: dict[str, str], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ["API_RATE_LIMIT"] = "3 per second"
    for name, value in request.getfixturevalue("environment").items():
        monkeypatch.setenv(name, value)
    names: dict[str, Any] = {}
    exec(blocks("python")[0], names)
    assert [names["call"]("GET", "/event-types")["meta"] for _ in range(5)] == [{"next_cursor": None}] * 5


def test_the_lines_of_the_walkthrough_work_as_they_stand(acme: Tenant, environment: dict[str, str]) -> None:
    script = (
        WALKTHROUGH.replace("https://<FAPI_URL>", environment["SERVER"])
        .replace("<secret_key>", acme.secret_key)
        .replace("org_01...", acme.organization_id)
    )
    endpoint, token, mapping = objects(shell(script, {}))
    assert endpoint == {"endpoint_url": "https://acme.authn.test/scim/v2/"}
    assert token["object"] == "scim_token" and token["token"].startswith(token["prefix"])
    assert token["revoked_at"] is None and len(token["prefix"]) == 13
    assert list(mapping["mapping"]) == ["groups[0].value"]


def test_the_curl_lines_of_the_docs_page_are_lines_of_a_shell(acme: Tenant, environment: dict[str, str]) -> None:
    """Of every operation that reads with a key and an organization, and of one that writes."""
    page = acme.client.get("/docs").text
    examples = [
        re.sub(r"&#(\d+);|&(\w+);", lambda found: {"34": '"', "39": "'", "amp": "&"}[found[1] or found[2]], example)
        for example in re.findall(r"<pre[^>]*><code>(.*?)</code></pre>", page, re.DOTALL)
    ]
    known = [
        example.replace("https://acme.authn.test", environment["SERVER"])
        for example in examples
        if set(re.findall(r"\$(\w+)", example)) <= {"SECRET_KEY", "ORGANIZATION_ID"}
        and ("-X" not in example or "scim/tokens" in example)
    ]
    assert len(known) > 8
    answers = objects(shell("\n".join(f"{example} --fail-with-body --silent" for example in known), environment))
    assert len(answers) == len(known)
