"""The page at /docs: everything that the document says, without a network, a script or a key."""

import re
from itertools import pairwise

from bs4 import BeautifulSoup
from flask.testing import FlaskClient

from blueprints.management.operations import OPERATIONS


def test_the_page_shows_every_operation_and_asks_nobody_else_for_anything(client: FlaskClient) -> None:
    answer = client.get("/docs")
    assert answer.status_code == 200
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "script-src" not in policy and "unsafe" not in policy
    page = BeautifulSoup(answer.text, "html.parser")
    assert {article["id"] for article in page.select("article")} == set(OPERATIONS)
    assert not page.select("script, style, iframe, img, [style], [onclick]")
    asked = [element["href"] for element in page.select("link[href]")]
    assert asked and all(address.startswith("/static/") for address in asked)
    for address in asked:
        assert client.get(address).status_code == 200
    own = {element["id"] for element in page.select("[id]")}
    links = [element["href"] for element in page.select("a[href]")]
    assert not [link for link in links if link.startswith("#") and link[1:] not in own]
    assert not [link for link in links if not link.startswith(("#", "/v1/openapi.json"))]


def test_the_page_can_be_read_by_everybody(client: FlaskClient) -> None:
    page = BeautifulSoup(client.get("/docs").text, "html.parser")
    assert page.html is not None and page.html["lang"] == "en"
    assert page.title is not None and page.title.text
    assert [heading.text for heading in page.select("h1")] == ["Management API"]
    levels = [int(heading.name[1]) for heading in page.select("h1, h2, h3, h4")]
    assert all(following <= level + 1 for level, following in pairwise(levels))
    assert all(table.caption and table.select("thead th[scope=col]") for table in page.select("table"))
    identifiers = [element["id"] for element in page.select("[id]")]
    assert len(identifiers) == len(set(identifiers))


def test_a_style_for_dark_and_light_comes_from_this_server_and_names_no_other(client: FlaskClient) -> None:
    style = client.get("/static/docs.css").text
    assert "prefers-color-scheme: dark" in style
    assert not re.search(r"@import|url\(|https?:", style)


def test_an_operation_is_shown_with_parameters_body_answers_and_curl(client: FlaskClient) -> None:
    page = BeautifulSoup(client.get("/docs").text, "html.parser")
    [shown] = page.select("article#issue_scim_token")
    text = shown.get_text(" ", strip=True)
    assert "POST /v1/organizations/{organization_id}/scim/tokens" in text
    assert 'curl -X POST "https://acme.authn.test/v1/organizations/$ORGANIZATION_ID/scim/tokens"' in text
    assert '-d \'{"name": "Okta — Production"}\'' in text
    assert "name required string of at most 200 characters" in text
    for words in ("Idempotency-Key", "expires_at", "Answer: 201", "Shown in this answer and never again", "415"):
        assert words in text
