"""What the product would be told, read from the outbox itself."""

import json
from typing import Any

from flask import Flask
from sqlalchemy import select

from database import db
from models import Event


def events_of(app: Flask, organization_id: str, prefix: str = "scim") -> list[dict[str, Any]]:
    """The envelopes of an organization's events in order, of the types that begin with a prefix; tokens left out."""
    with app.app_context(), db.reading() as session:
        query = select(Event.body).where(Event.stream == organization_id).order_by(Event.sequence)
        bodies = [json.loads(body) for body in session.scalars(query)]
    return [body for body in bodies if body["type"].startswith(prefix) and not body["type"].startswith("scimToken")]


def event_types(app: Flask, organization_id: str) -> list[str]:
    return [event["type"] for event in events_of(app, organization_id)]
