"""Okta's provisioning client: what it asks for, in its own words, and how strictly it reads what it is given.

Two kinds of app exist in Okta: those of its catalogue (``oin``) update by PATCH, those
made with the App Integration Wizard (``aiw``) fetch a resource and PUT it back.
"""

import copy
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from simulator.exchange import Exchange, JsonObject, Misbehaviour, Observer
from simulator.judgement import (
    GROUP_SCHEMA,
    USER_SCHEMA,
    Listing,
    check_created,
    check_refusal,
    check_shown,
    check_user_members,
    read_group,
    read_listing,
    read_service_provider_config,
    read_user,
)
from simulator.people import Person
from simulator.transport import BackOff, Connections, OktaTransport

App = Literal["oin", "aiw"]

PATCH_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
PAGE_SIZE = 100


@dataclass(frozen=True)
class Assignment:
    """A person assigned to the app; ``before`` is the resource that the look-up found, None where one was created."""

    user: JsonObject
    before: JsonObject | None

    @property
    def changed(self) -> bool:
        """Tell whether linking a found resource changed anything of it."""
        return self.before is not None and content_of(self.before) != content_of(self.user)


@dataclass(frozen=True)
class PushedGroup:
    """A group as Okta last pushed it: ``members`` are user names by the ids of their users."""

    id: str
    name: str
    members: Mapping[str, str]


class OktaClient:
    """Okta's side of one app. Every method raises Misbehaviour when an answer is not as Okta needs it."""

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        app: App = "oin",
        connections: int = 8,
        observer: Observer | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.app = app
        self._transport = OktaTransport(
            Connections(base_url, connections, observer), base_url, f"Bearer {token}", sleep
        )
        self._call = self._transport.call

    @property
    def back_offs(self) -> list[BackOff]:
        """The 429s that were heeded so far."""
        return self._transport.back_offs

    def as_app(self, app: App) -> "OktaClient":
        """Return the same client as the other kind of app sends."""
        twin = copy.copy(self)
        twin.app = app
        return twin

    def with_authorization(self, authorization: str) -> "OktaClient":
        """Return the same client with another Authorization header."""
        twin = copy.copy(self)
        old = self._transport
        twin._transport = OktaTransport(old.connections, old.base_url, authorization, old.sleep)
        twin._call = twin._transport.call
        return twin

    def close(self) -> None:
        """Close the connections."""
        self._transport.connections.close()

    # -- Test API credentials ----------------------------------------------------

    def test_credentials(self) -> None:
        """Click “Test API Credentials”, as Okta's documentation and as its client do it."""
        read_service_provider_config(self._call("GET", "/ServiceProviderConfig", expected=(200,)))
        self._list_users("startIndex=1&count=2")
        self._list_groups("startIndex=1&count=100")

    def expect_credentials_refused(self) -> None:
        """Click “Test API Credentials” with a token that must not work."""
        for path in ("/ServiceProviderConfig", "/Users?startIndex=1&count=2", "/Groups?startIndex=1&count=100"):
            check_refusal(self._call("GET", path, expected=(401,)), 401)

    # -- Users ---------------------------------------------------------------------

    def find_user(self, user_name: str) -> JsonObject | None:
        """Look a user name up before creating it. A 404 passes for “nobody”, as it does with Okta."""
        exchange = self._call("GET", f"/Users?{lookup('userName', user_name)}", expected=(200, 404))
        if exchange.status == 404:
            check_refusal(exchange, 404)
            return None
        return _only_hit(exchange, "userName", user_name, read_listing(exchange))

    def get_user(self, user_id: str) -> JsonObject:
        """Return a user."""
        exchange = self._call("GET", f"/Users/{quote(user_id)}", expected=(200,))
        return _same_user(exchange, user_id)

    def assign(self, person: Person, password: str) -> Assignment:
        """Assign a person: look the user name up, then create the user, or PUT the profile to the one found."""
        found = self.find_user(person.user_name)
        if found is None:
            return Assignment(self.create_user(person, password), None)
        return Assignment(self._put_user({**found, **profile(person), "active": True}), found)

    def create_user(self, person: Person, password: str) -> JsonObject:
        """Create a user."""
        body = {**profile(person), "groups": [], "password": password, "active": True}
        exchange = self._call("POST", "/Users", body, expected=(201,))
        user = read_user(exchange)
        check_shown(exchange, user, body)
        check_created(exchange, user)
        return user

    def expect_duplicate_refused(self, person: Person, password: str) -> None:
        """Create a user whose name is taken, which must be refused as Okta's conformance suite demands."""
        body = {**profile(person), "groups": [], "password": password, "active": True}
        exchange = self._call("POST", "/Users", body, expected=(409,))
        if check_refusal(exchange, 409).get("scimType") != "uniqueness":
            raise Misbehaviour('The 409 must say "scimType": "uniqueness".', exchange)

    def expect_unknown_refused(self, user_id: str) -> None:
        """Read a user that is not there."""
        check_refusal(self._call("GET", f"/Users/{quote(user_id)}", expected=(404,)), 404)

    def update_user(self, user_id: str, changes: JsonObject) -> JsonObject:
        """Push changed attributes: a PATCH without a path, or the whole resource fetched and PUT back."""
        if self.app == "aiw":
            fetched = self.get_user(user_id)
            return self._put_user({**fetched, **changes})
        body = {"schemas": [PATCH_SCHEMA], "Operations": [{"op": "replace", "value": changes}]}
        exchange = self._call("PATCH", f"/Users/{quote(user_id)}", body, expected=(200, 204))
        user = self.get_user(user_id) if exchange.status == 204 else _same_user(exchange, user_id)
        check_shown(exchange, user, changes)
        return user

    def deactivate(self, user_id: str) -> JsonObject:
        """Unassign a person. The user stays readable and shows ``active: false``."""
        return self.update_user(user_id, {"active": False})

    def reactivate(self, user_id: str) -> JsonObject:
        """Give a person back what ``deactivate`` took."""
        return self.update_user(user_id, {"active": True})

    def import_users(self) -> Iterator[JsonObject]:
        """Yield all users, a page of 100 after the other, as Okta's import reads them."""
        return self._import("/Users", check_user_members)

    def _put_user(self, resource: JsonObject) -> JsonObject:
        exchange = self._call("PUT", f"/Users/{quote(resource['id'])}", resource, expected=(200,))
        user = _same_user(exchange, resource["id"])
        check_shown(exchange, user, resource)
        return user

    # -- Push Groups -----------------------------------------------------------------

    def find_group(self, name: str) -> JsonObject | None:
        """Look a group's name up before pushing it."""
        exchange = self._call("GET", f"/Groups?{lookup('displayName', name)}", expected=(200, 404))
        if exchange.status == 404:
            check_refusal(exchange, 404)
            return None
        return _only_hit(exchange, "displayName", name, read_listing(exchange))

    def push_group(self, name: str, members: Mapping[str, str]) -> PushedGroup:
        """Push a group: look its name up, create it without members where it is not found, then push the members."""
        found = self.find_group(name)
        if found is None:
            body: JsonObject = {"schemas": [GROUP_SCHEMA], "displayName": name, "members": []}
            exchange = self._call("POST", "/Groups", body, expected=(201,))
            found = read_group(exchange)
            check_shown(exchange, found, {"displayName": name})
            check_created(exchange, found)
        empty = PushedGroup(found["id"], name, {})
        return self.change_members(empty, add=members) if members else empty

    def change_members(
        self, group: PushedGroup, *, add: Mapping[str, str] | None = None, remove: Iterable[str] = ()
    ) -> PushedGroup:
        """Push who joined and who left."""
        gone = list(remove)
        kept = {user_id: name for user_id, name in group.members.items() if user_id not in gone}
        changed = PushedGroup(group.id, group.name, {**kept, **(add or {})})
        if self.app == "aiw":
            return self._put_group(changed)
        operations: list[JsonObject] = [{"op": "replace", "value": {"id": group.id, "displayName": group.name}}]
        operations += [{"op": "remove", "path": f"members[value eq {json.dumps(user_id)}]"} for user_id in gone]
        if add:
            operations.append({"op": "add", "path": "members", "value": references(add)})
        return self._patch_group(changed, operations)

    def push_now(self, group: PushedGroup) -> PushedGroup:
        """Click “Push now”: the full list of members replaces what the server has."""
        if self.app == "aiw":
            return self._put_group(group)
        return self._patch_group(group, [{"op": "replace", "path": "members", "value": references(group.members)}])

    def rename_group(self, group: PushedGroup, name: str) -> PushedGroup:
        """Push a group's new name."""
        renamed = PushedGroup(group.id, name, group.members)
        if self.app == "aiw":
            return self._put_group(renamed)
        return self._patch_group(renamed, [{"op": "replace", "value": {"id": group.id, "displayName": name}}])

    def unlink_group(self, group: PushedGroup) -> None:
        """Unlink a pushed group and delete it on the server; afterwards it must be gone."""
        path = f"/Groups/{quote(group.id)}"
        self._call("DELETE", path, expected=(204,))
        check_refusal(self._call("GET", path, expected=(404,)), 404)

    def check_group(self, group: PushedGroup) -> None:
        """Read a group back and compare it with what was pushed."""
        exchange = self._call("GET", f"/Groups/{quote(group.id)}", expected=(200,))
        _same_group(exchange, group)
        members = {str(member.get("value")) for member in read_group(exchange).get("members") or []}
        if members != set(group.members):
            lacking, surplus = set(group.members) - members, members - set(group.members)
            raise Misbehaviour(f"The group lacks {sorted(lacking)} and has {sorted(surplus)} too many.", exchange)

    def _patch_group(self, group: PushedGroup, operations: list[JsonObject]) -> PushedGroup:
        body = {"schemas": [PATCH_SCHEMA], "Operations": operations}
        exchange = self._call("PATCH", f"/Groups/{quote(group.id)}", body, expected=(200, 204))
        if exchange.status == 200:
            _same_group(exchange, group)
        return group

    def _put_group(self, group: PushedGroup) -> PushedGroup:
        body = {
            "schemas": [GROUP_SCHEMA],
            "id": group.id,
            "displayName": group.name,
            "members": references(group.members),
        }
        exchange = self._call("PUT", f"/Groups/{quote(group.id)}", body, expected=(200, 204))
        if exchange.status == 200:
            _same_group(exchange, group)
        return group

    # -- Lists -------------------------------------------------------------------------

    def _list_users(self, query: str) -> Listing:
        exchange = self._call("GET", f"/Users?{query}", expected=(200,))
        listing = read_listing(exchange)
        for user in listing.resources:
            check_user_members(user, exchange)
        return listing

    def _list_groups(self, query: str) -> Listing:
        return read_listing(self._call("GET", f"/Groups?{query}", expected=(200,)))

    def _import(self, path: str, check: Callable[[JsonObject, Exchange], None]) -> Iterator[JsonObject]:
        start, total, seen = 1, 1, set[str]()
        while start <= total:
            exchange = self._call("GET", f"{path}?startIndex={start}&count={PAGE_SIZE}", expected=(200,))
            listing = read_listing(exchange)
            total = listing.total
            if listing.start_index != start or len(listing.resources) != min(PAGE_SIZE, max(0, total - start + 1)):
                complaint = f"Page {start} of {total} resources came with {len(listing.resources)} of them."
                raise Misbehaviour(complaint, exchange)
            for resource in listing.resources:
                check(resource, exchange)
                if resource["id"] in seen:
                    raise Misbehaviour(f"{resource['id']} is on two pages; the order is not stable.", exchange)
                seen.add(resource["id"])
                yield resource
            start += PAGE_SIZE


def profile(person: Person) -> JsonObject:
    """Return the attributes that Okta pushes of a person by default."""
    return {
        "schemas": [USER_SCHEMA],
        "userName": person.user_name,
        "name": {"givenName": person.given_name, "familyName": person.family_name},
        "emails": [{"primary": True, "value": person.user_name, "type": "work"}],
        "displayName": person.full_name,
        "locale": person.locale,
        "externalId": person.okta_id,
    }


def lookup(attribute: str, value: str) -> str:
    """Return the query of a look-up: ``eq`` is the only operator that Okta sends."""
    expression = f"{attribute} eq {json.dumps(value, ensure_ascii=False)}"
    return f"filter={quote(expression, safe='')}&startIndex=1&count={PAGE_SIZE}"


def references(members: Mapping[str, str]) -> list[JsonObject]:
    """Return members as Okta lists them."""
    return [{"value": user_id, "display": user_name} for user_id, user_name in members.items()]


def content_of(user: JsonObject) -> JsonObject:
    """Return a user without what every write may change: a comparison tells whether anything else did."""
    return {name: value for name, value in user.items() if name != "meta"}


def _only_hit(exchange: Exchange, attribute: str, value: str, listing: Listing) -> JsonObject | None:
    """Return the one resource of a look-up. A wrong one would be linked, and somebody else's account overwritten."""
    if listing.total > 1:
        raise Misbehaviour(f"{listing.total} resources have the {attribute} {value!r}.", exchange)
    for resource in listing.resources:
        if str(resource.get(attribute)).casefold() != value.casefold():
            raise Misbehaviour(f"A look-up of {value!r} found {resource.get(attribute)!r}.", exchange)
        return resource
    if listing.total:
        raise Misbehaviour("The look-up counts a resource that it does not show.", exchange)
    return None


def _same_user(exchange: Exchange, user_id: str) -> JsonObject:
    user = read_user(exchange)
    if user["id"] != user_id:
        raise Misbehaviour(f"The answer is about {user['id']}, and {user_id} was meant.", exchange)
    return user


def _same_group(exchange: Exchange, group: PushedGroup) -> None:
    shown = read_group(exchange)
    if shown["id"] != group.id or shown["displayName"] != group.name:
        raise Misbehaviour(f"The group must be {group.id} by the name {group.name!r}.", exchange)
