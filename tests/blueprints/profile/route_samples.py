"""The routes of the pages, from the route table itself, and something for each parameter of an address to name.

Whoever adds a route with a new parameter adds a sample of it here.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.routing import Rule

from database import db
from models import DirectoryActivity, ScimToken, WebhookDelivery
from organizations.setup_links import make_setup_link
from tests.conftest import Tenant

USER = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "ada@acme.example", "active": True}
GROUP = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "Engineering"}
# Parameters that name no object of an organization, each with a value that is valid everywhere.
CHOICES = {
    "token": "unknown",  # of a link: a valid one would sign somebody in on the way
    "provider": "okta",
    "idp": "okta",
    "step": "connect",
    "key": "department",
    "path": "userName",
}


@dataclass(frozen=True)
class Route:
    """One route and method of the pages, with the names of its parameters."""

    endpoint: str
    method: str
    rule: str
    parameters: frozenset[str]

    def __str__(self) -> str:
        return f"{self.method} {self.rule}"

    @property
    def names_an_object(self) -> bool:
        """Whether its address names something that belongs to one organization."""
        return bool(self.parameters - set(CHOICES))


def page_routes(app: Flask) -> Iterator[Route]:
    """Yield every route of the pages with each of its methods; those that only read first."""
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith("profile.")]
    pairs = [(rule, method) for rule in rules for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}]
    for rule, method in sorted(pairs, key=lambda pair: (pair[1] != "GET", ends_the_session(pair[0]), pair[0].rule)):
        yield Route(rule.endpoint, method, rule.rule, frozenset(rule.arguments))


def ends_the_session(rule: Rule) -> bool:
    return rule.endpoint == "profile.sign_in.sign_out"


def address(app: Flask, route: Route, samples: dict[str, str]) -> str:
    """Return an address of the route that names the samples."""
    values = {}
    for name in route.parameters:
        if name not in samples and name not in CHOICES:
            pytest.fail(f"{route} has the parameter {name!r}: add a sample of it to {__name__.replace('.', '/')}.py")
        values[name] = samples.get(name) or CHOICES[name]
    with app.test_request_context():
        return str(app.url_map.bind("acme.authn.test").build(route.endpoint, values, method=route.method))


def make_samples(app: Flask, tenant: Tenant, receiver_url: str = "http://127.0.0.1:9/hook") -> dict[str, str]:
    """Make one of each kind of object in an organization, and return their ids under the names of parameters."""
    endpoint = tenant.api(
        "POST", "/webhook-endpoints", {"url": receiver_url, "organization_id": tenant.organization_id}
    ).json
    user = tenant.scim("POST", "/Users", USER).json
    group = tenant.scim("POST", "/Groups", {**GROUP, "members": [{"value": user["id"]}]}).json
    with app.app_context(), db.unit_of_work() as session:
        link, _ = make_setup_link(session, tenant.organization_id, "Sample")
    return {
        "organization_id": tenant.organization_id,
        "endpoint_id": endpoint["id"],
        "user_id": user["id"],
        "group_id": group["id"],
        "link_id": link.id,
        **stored_samples(app, tenant),
    }


def stored_samples(app: Flask, tenant: Tenant) -> dict[str, str]:
    """Return the ids of what was made on the way: the first token, a delivery and its event, a line of activity."""
    of = tenant.organization_id
    with app.app_context(), db.reading() as session:
        delivery = session.scalars(select(WebhookDelivery).order_by(WebhookDelivery.id)).first()
        activity = select(DirectoryActivity.id).where(DirectoryActivity.organization_id == of)
        return {
            "token_id": session.scalars(select(ScimToken.id).where(ScimToken.organization_id == of)).one(),
            "delivery_id": delivery.id,
            "event_id": delivery.event_id,
            "activity_id": session.scalars(activity).first(),
        }
