"""A conversation with an identity provider: what it says, what it must hear, and what is so afterwards.

A script is a list of ``Step``s. Names in braces stand for ids: a step that ``remembers="nadia"`` keeps the id of the
resource it heard of, and later steps write ``{nadia}`` in their request, their body and what they hear.

After every step all of the organization is looked at: who is in the directory and in which role, the groups with their
members, and the events that the product was sent. A step says only what it changes; everything else must be as before.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, quote_plus

from flask import Flask
from werkzeug.test import EnvironBuilder

from tests.conftest import Tenant
from tests.events import events_of
from tests.scim.conversations.impatience import judge

MEMBER, ADMIN, INACTIVE = "org:member", "org:admin", "inactive"

# Whoever is in a group called Admins becomes one; any other group makes members.
ROLES_BY_GROUP = {
    "groups[*].value": '{{ value | downcase | replace: "admins", "org:admin" }}.organization_role',
}


@dataclass(frozen=True)
class IdentityProvider:
    """How an IdP speaks HTTP: its headers beside Authorization, and how it writes a space in a filter."""

    name: str
    headers: Mapping[str, str]
    space: str = "%20"


@dataclass(frozen=True)
class Step:
    """One request of an IdP.

    ``hears`` is what the answer must hold, objects member by member; ``lacks`` names what it must not hold.
    ``finds`` are the names of the resources that a list must hold.
    ``people`` are those whose state changes: a role, ``INACTIVE``, or None for gone from the directory.
    ``groups`` are those whose members change: a set of names, or None for gone.
    ``events`` are what the product is told, in any order: ``"scimUser.provisioned nadia"``.
    ``headers`` are those of this request alone; None leaves one out that the IdP usually sends.
    """

    why: str
    request: str
    body: Any = None
    status: int = 200
    hears: Mapping[str, Any] = field(default_factory=dict)
    lacks: Sequence[str] = ()
    finds: Sequence[str] | None = None
    remembers: str | None = None
    people: Mapping[str, str | None] = field(default_factory=dict)
    groups: Mapping[str, set[str] | None] = field(default_factory=dict)
    events: Sequence[str] = ()
    headers: Mapping[str, str | None] = field(default_factory=dict)


class Conversation:
    """One IdP talking to one organization's SCIM base URL."""

    def __init__(self, app: Flask, tenant: Tenant, idp: IdentityProvider) -> None:
        self.app = app
        self.tenant = tenant
        self.idp = idp
        self.ids: dict[str, str] = {}
        self.people: dict[str, str] = {}
        self.groups: dict[str, set[str]] = {}
        self.told = 0

    def play(self, steps: Sequence[Step]) -> None:
        """Play a script; what goes wrong is told with the step it went wrong in."""
        for number, step in enumerate(steps, 1):
            response = self.send(step)
            try:
                self.listen(step, response)
                self.look_around(step)
            except AssertionError as error:
                error.add_note(f"{self.idp.name}, step {number}: {step.why}\n> {step.request}\n< {response.text}")
                raise

    # -- Saying and hearing -----------------------------------------------------------

    def send(self, step: Step) -> Any:
        """Send a request with the IdP's headers and no others."""
        method, _, target = self.named(step.request).partition(" ")
        path, _, query = target.partition("?")
        body = None if step.body is None else json.dumps(self.named(step.body), ensure_ascii=False).encode()
        usual = {"Authorization": f"Bearer {self.tenant.scim_token}", **self.idp.headers}
        headers = {name: value for name, value in {**usual, **step.headers}.items() if value is not None}
        builder = EnvironBuilder(
            f"/scim/v2{quote(path)}", method=method, query_string=self.encoded(query), data=body, headers=headers
        )
        environ = builder.get_environ()
        if "User-Agent" not in headers:
            environ.pop("HTTP_USER_AGENT", None)
        return self.tenant.client.open(environ)

    def encoded(self, query: str) -> str:
        """Percent-encode the values of a readable query."""
        encode = quote_plus if self.idp.space == "+" else quote
        pairs = [pair.partition("=") for pair in re.split(r"&(?=[A-Za-z0-9]+(?:=|$|&))", query)] if query else []
        return "&".join(name + mark + encode(value, safe="") for name, mark, value in pairs)

    def listen(self, step: Step, response: Any) -> None:
        """Check an answer as the IdP does."""
        answered = response.status_code
        assert answered == step.status, f"{step.status} was expected, and {answered} came"
        sent = json.dumps(step.body) if step.body is not None else ""
        content = judge(self.named(step.request), response, secrets=(self.tenant.scim_token, *passwords(sent)))
        if step.remembers is not None:
            self.ids[step.remembers] = content["id"]
        wrong = difference(self.named(dict(step.hears)), content or {})
        assert wrong is None, f"it heard {wrong}"
        there = [name for name in step.lacks if name in (content or {})]
        assert not there, f"{there} must not be there"
        if step.finds is not None:
            found = sorted(self.name_of(resource["id"]) for resource in content["Resources"])
            assert found == sorted(step.finds), f"it found {found}"

    def named(self, content: Any) -> Any:
        """Put the ids in place of the names in braces."""
        if isinstance(content, str):
            return re.sub(r"\{(\w+)\}", lambda match: self.ids.get(match[1], match[0]), content)
        if isinstance(content, Mapping):
            return {self.named(key): self.named(value) for key, value in content.items()}
        return [self.named(item) for item in content] if isinstance(content, list) else content

    def name_of(self, resource_id: str) -> str:
        return next((name for name, known in self.ids.items() if known == resource_id), resource_id)

    # -- What is so afterwards ----------------------------------------------------------

    def look_around(self, step: Step) -> None:
        """Compare directory, memberships, groups and events with what the step changed."""
        self.people = {name: state for name, state in {**self.people, **step.people}.items() if state is not None}
        self.groups = {name: members for name, members in {**self.groups, **step.groups}.items() if members is not None}
        assert self.people_now() == self.people, f"the people are {self.people_now()}, and should be {self.people}"
        assert self.groups_now() == self.groups, f"the groups are {self.groups_now()}, and should be {self.groups}"
        news = self.events_now()[self.told :]
        self.told += len(news)
        assert sorted(news) == sorted(step.events), f"the product heard {news}, and should hear {list(step.events)}"

    def people_now(self) -> dict[str, str]:
        """Each directory user's role, or ``INACTIVE``; and every member must be an active directory user."""
        listed = self.tenant.scim("GET", "/Users?count=200").json["Resources"]
        path = f"/organizations/{self.tenant.organization_id}/memberships?limit=200"
        members = {m["user"]["id"]: m["role"] for m in self.tenant.api("GET", path).json["data"]}
        assert members.pop(self.tenant.admin_id) == ADMIN
        active = {user["id"] for user in listed if user["active"]}
        assert set(members) == active, f"members are {sorted(members)}, and active in the directory {sorted(active)}"
        return {self.name_of(user["id"]): members.get(user["id"], INACTIVE) for user in listed}

    def groups_now(self) -> dict[str, set[str]]:
        listed = self.tenant.scim("GET", "/Groups?count=200").json["Resources"]
        return {
            group["displayName"]: {self.name_of(member["value"]) for member in group.get("members", [])}
            for group in listed
        }

    def events_now(self) -> list[str]:
        return [
            f"{event['type']} {self.name_of((event['data'].get('user') or event['data'].get('group'))['id'])}"
            for event in events_of(self.app, self.tenant.organization_id)
        ]


def difference(wanted: Any, got: Any, at: str = "") -> str | None:
    """Where an answer differs from what must be in it, or None: true is not "true", and 1 is not "1"."""
    if isinstance(wanted, Mapping):
        if not isinstance(got, Mapping):
            return f"{at or 'the answer'} as {got!r}, not an object"
        differences = (difference(value, got.get(key), f"{at}.{key}".lstrip(".")) for key, value in wanted.items())
        return next((found for found in differences if found), None)
    if isinstance(wanted, list) and isinstance(got, list) and len(wanted) == len(got):
        differences = (
            difference(one, other, f"{at}[{n}]") for n, (one, other) in enumerate(zip(wanted, got, strict=True))
        )
        return next((found for found in differences if found), None)
    return None if wanted == got and type(wanted) is type(got) else f"{at} as {got!r}, not {wanted!r}"


def passwords(sent: str) -> list[str]:
    return re.findall(r'"password": "([^"]+)"', sent)
