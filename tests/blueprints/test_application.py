"""The short ways of a request through Flask lead where the long ones do."""

from itertools import chain
from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.exceptions import HTTPException
from werkzeug.test import EnvironBuilder

from blueprints.application import Application
from blueprints.arrivals import Arrival, plain_query

PLAIN = [
    ("/scim/v2/Users", "127.0.0.1:8000"),
    ("/scim/v2/Groups", "scim.acme.example"),
    ("/scim/v2/Users/user_01JD0000000000000000000000", "SCIM.acme.example"),
    ("/scim/v2/Groups/search", "localhost"),
    ("/scim/v2/Bulk", "localhost:80"),
]
OTHERS = [
    ("/scim/v2", "localhost"),
    ("/scim/v2/", "localhost"),
    ("/scim/v2/Users/", "localhost"),
    ("/scim/v2/Users/.search", "localhost"),
    ("/scim/v2/Users/a/b", "localhost"),
    ("/scim/v2/Users/ü", "localhost"),
    ("/scim/v2/Users\n", "localhost"),
    ("/scim/v2/Schemas", "localhost"),
    ("/scim/v3/Users", "localhost"),
    ("/v1/organizations", "localhost"),
    ("/scim/v2/Users", "a..b"),
    ("/scim/v2/Users", "x" * 64),
    ("/scim/v2/Users", "[::1]:8000"),
    ("/scim/v2/Users", "bücher.example"),
    ("/scim/v2/Users", ""),
]


def arrival(path: str, host: str, **environ: str) -> Arrival:
    made = EnvironBuilder(path="/", method="GET").get_environ()
    return Arrival({**made, "PATH_INFO": path.encode().decode("latin-1"), "HTTP_HOST": host, **environ})


def found_among_all(app: Flask, request: Arrival) -> Any:
    adapter = Flask.create_url_adapter(app, request)
    assert adapter is not None
    return adapter.match(method="PATCH", return_rule=True)


@pytest.mark.parametrize(("path", "host"), PLAIN)
def test_a_plain_path_leads_where_it_leads_among_all_routes(app: Application, path: str, host: str) -> None:
    request = arrival(path, host)
    assert app.matched_at_once(request)
    assert (request.url_rule, request.view_args) == found_among_all(app, request)


@pytest.mark.parametrize(("path", "host"), OTHERS)
def test_any_other_path_or_host_is_looked_for_among_all_routes(app: Application, path: str, host: str) -> None:
    request = arrival(path, host)
    assert not app.matched_at_once(request)
    assert (request.url_rule, request.view_args) == (None, None)


@pytest.mark.parametrize(
    "asking", [{"HTTP_UPGRADE": "websocket", "HTTP_CONNECTION": "Upgrade"}, {"wsgi.url_scheme": "ws"}]
)
def test_what_asks_for_a_websocket_finds_nothing_at_a_plain_path(app: Application, asking: dict[str, str]) -> None:
    request = arrival("/scim/v2/Users", "localhost", **asking)
    assert not app.matched_at_once(request)
    with pytest.raises(HTTPException):
        found_among_all(app, request)


def test_around_each_view_the_same_is_called_in_the_same_order_as_flask_would(app: Application) -> None:
    endpoints = {rule.endpoint: rule for rule in app.url_map.iter_rules()}
    request = arrival("/", "localhost")
    for request.url_rule in [None, *endpoints.values()]:
        outwards = [*request.blueprints, None]
        before = [app.before_request_funcs.get(name, []) for name in reversed(outwards)]
        after = [app.after_request_funcs.get(name, [])[::-1] for name in outwards]
        hooks = app.hooks_of(request)
        assert hooks.before == tuple(chain(*before))
        assert hooks.after == tuple(chain(*after))
    assert not app.url_value_preprocessors


PIECES = [*'aZ9 =&+%;?/#"@é\0', "filter", "count=", "%20", "%22", "%40", "%2540", "%3D", "%26", "%C3%A9", "%ff", "%2"]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_a_plain_query_says_what_any_query_says(query: str) -> None:
    request = arrival("/scim/v2/Users", "localhost", QUERY_STRING=query.encode().decode("latin-1"))
    assert request.query == request.args.to_dict()
    assert plain_query(query) in (None, request.query)


def test_the_queries_of_identity_providers_are_plain() -> None:
    look_up = {"filter": 'userName eq "nadia@acme.example"', "startIndex": "1", "count": "100"}
    assert plain_query("filter=userName%20eq%20%22nadia%40acme.example%22&startIndex=1&count=100") == look_up
    assert plain_query("filter=userName+eq+%22nadia@acme.example%22&startIndex=1&count=100") == look_up
