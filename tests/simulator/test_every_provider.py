"""Every identity provider that can be played, in each of its ways, against the real application."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from werkzeug.serving import make_server

from simulator.narrator import Narrator
from simulator.providers import PROVIDERS
from simulator.receiver import Event
from simulator.stage import Stage
from simulator.story import tell_story
from tests.events import events_of

pytestmark = pytest.mark.slow

EACH_WAY = [(idp, way) for idp, provider in PROVIDERS.items() for way in provider.client.ways]


@pytest.fixture
def served(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr("simulator.back_fill.MOST_LOOKUPS", 20)  # nothing limits here
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/scim/v2"
    server.shutdown()
    thread.join()


def as_received(body: dict[str, Any]) -> Event:
    about = body["data"].get("user") or body["data"].get("group")
    return Event(body["id"], body["type"], body["sequence"], about["id"], body)


@pytest.mark.parametrize(("idp", "way"), EACH_WAY)
def test_a_story_is_told_twice_and_the_product_hears_of_it_exactly(
    app: Flask, served: str, acme: Any, capsys: pytest.CaptureFixture[str], idp: str, way: str
) -> None:
    heard = 0
    for _ in range(2):  # the second time, everybody is there already
        narrator = Narrator()
        client = PROVIDERS[idp].client(served, acme.scim_token, way=way, observer=narrator.observer(idp))
        stage = Stage(client, narrator, 12, None)
        tell_story(stage, PROVIDERS[idp].chapters)
        client.close()

        events = [as_received(body) for body in events_of(app, acme.organization_id)]
        assert stage.expected.compare(events[heard:]).complaint is None
        assert len(stage.expected) == len(events) - heard > 10
        heard = len(events)
    assert PROVIDERS[idp].client.introduction in capsys.readouterr().out
