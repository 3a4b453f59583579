"""One organization for the IdP to talk to, and another one that must not notice."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from flask import Flask

from tests.events import events_of
from tests.scim.conversations.talking import ROLES_BY_GROUP, Conversation, IdentityProvider, Step


@pytest.fixture
def play(app: Flask, acme: Any, globex: Any) -> Iterator[Callable[[IdentityProvider, Sequence[Step]], Conversation]]:
    """Play a script of steps. Afterwards the other organization must be as empty as it was."""
    path = f"/organizations/{acme.organization_id}/scim/attribute-mappings"
    assert acme.api("PUT", path, {"mapping": ROLES_BY_GROUP}).status_code == 200

    def play(idp: IdentityProvider, steps: Sequence[Step]) -> Conversation:
        conversation = Conversation(app, acme, idp)
        conversation.play(steps)
        return conversation

    yield play
    assert globex.scim("GET", "/Users").json["totalResults"] == 0
    assert globex.scim("GET", "/Groups").json["totalResults"] == 0
    assert events_of(app, globex.organization_id) == []
