"""The requests of an identity provider that are measured, the same for every server."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from bench.load import Request, Work, shuffled_for_ever

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
BULK_REQUEST = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
PAGE = 100
# The operations of one Bulk request.
OPERATIONS = 100
GROUP = "Everybody"
GROUP_MEMBERS_AT_MOST = 50_000


def person(name: str) -> dict[str, Any]:
    """Return what Okta sends of a new person."""
    return {
        "schemas": [USER],
        "userName": f"{name}@acme.example",
        "name": {"givenName": "Nadia", "familyName": "Petrov"},
        "emails": [{"primary": True, "value": f"{name}@acme.example", "type": "work"}],
        "displayName": "Nadia Petrov",
        "locale": "en-US",
        "externalId": f"00u{name}",
        "groups": [],
        "active": True,
    }


@dataclass(frozen=True)
class Directory:
    """The server that is asked, and whom it has: ids and names in the same order.

    ``patched`` is the status of its answers to PATCH; 200 comes with the person. ``group_id`` is a group of all, or
    of the first 50,000.
    """

    base: str
    token: str
    ids: Sequence[str]
    names: Sequence[str]
    total: int
    patched: int = 200
    group_id: str | None = None

    def members(self) -> Sequence[str]:
        """Return the ids of those in the group."""
        return self.ids[:GROUP_MEMBERS_AT_MOST]


def creates(directory: Directory) -> Iterator[Request]:
    """Create people, each of them once."""
    for number in itertools.count():
        name = f"new{number}"
        yield Request.of(
            "POST",
            f"{directory.base}/Users",
            token=directory.token,
            body=person(name),
            status=201,
            expected=f'"userName":"{name}@acme.example"',
        )


def look_ups(directory: Directory) -> Iterator[Request]:
    """Ask whether somebody is there, as before each create."""
    for name in shuffled_for_ever(directory.names):
        query = quote(f'userName eq "{name}@acme.example"')
        yield Request.of(
            "GET",
            f"{directory.base}/Users?filter={query}&startIndex=1&count=100",
            token=directory.token,
            expected=f'"userName":"{name}@acme.example"',
        )


def reads(directory: Directory) -> Iterator[Request]:
    """Read people by their ids."""
    for id_ in shuffled_for_ever(directory.ids):
        yield Request.of("GET", f"{directory.base}/Users/{id_}", token=directory.token, expected=f'"id":"{id_}"')


def patches(directory: Directory) -> Iterator[Request]:
    """Deactivate everybody, then activate everybody."""
    for active in itertools.cycle(("false", "true")):
        body = {"schemas": [PATCH_OP], "Operations": [{"op": "replace", "value": {"active": active == "true"}}]}
        for id_ in directory.ids:
            yield Request.of(
                "PATCH",
                f"{directory.base}/Users/{id_}",
                token=directory.token,
                body=body,
                status=directory.patched,
                expected=f'"active":{active}' if directory.patched == 200 else "",
            )


def members(directory: Directory) -> Iterator[Request]:
    """Take everybody out of the group, one at a time, then put them in."""
    for is_removed in itertools.cycle((True, False)):
        for id_ in directory.members():
            removed, added = {"op": "remove", "path": f'members[value eq "{id_}"]'}, {"op": "add", "path": "members"}
            operation = removed if is_removed else {**added, "value": [{"value": id_}]}
            yield Request.of(
                "PATCH",
                f"{directory.base}/Groups/{directory.group_id}?excludedAttributes=members",
                token=directory.token,
                body={"schemas": [PATCH_OP], "Operations": [operation]},
                expected=f'"displayName":"{GROUP}"',
            )


def pages(directory: Directory) -> Iterator[Request]:
    """Walk through everybody, a hundred at a time."""
    starts = range(1, max(2, directory.total - PAGE + 2), PAGE)
    for start in itertools.cycle(starts):
        yield Request.of(
            "GET",
            f"{directory.base}/Users?startIndex={start}&count={PAGE}",
            token=directory.token,
            expected=f'"startIndex":{start}',
        )


def bulks(directory: Directory) -> Iterator[Request]:
    """Create people, a hundred in a request."""
    for number in itertools.count():
        operations = [
            {"method": "POST", "path": "/Users", "bulkId": f"b{index}", "data": person(f"bulk{number}x{index}")}
            for index in range(OPERATIONS)
        ]
        yield Request.of(
            "POST",
            f"{directory.base}/Bulk",
            token=directory.token,
            body={"schemas": [BULK_REQUEST], "Operations": operations},
            expected=f'"bulkId":"b{OPERATIONS - 1}"',
        )


def one_is_found(answer: Any) -> str | None:
    """Judge the answer to a look-up."""
    found = answer["totalResults"], len(answer["Resources"])
    return None if found == (1, 1) else f"{found} were found instead of one"


def is_a_whole_person(answer: Any) -> str | None:
    """Judge a person."""
    whole = answer["meta"]["resourceType"] == "User" and answer["emails"][0]["value"] == answer["userName"]
    return None if whole and answer["id"] else "parts of the person are missing"


def is_the_group(answer: Any) -> str | None:
    """Judge a group."""
    return None if answer["meta"]["resourceType"] == "Group" else "this is no group"


def is_a_full_page(answer: Any) -> str | None:
    """Judge a page."""
    ids = {resource["id"] for resource in answer["Resources"]}
    wanted = min(PAGE, answer["totalResults"])
    return None if len(ids) == wanted == answer["itemsPerPage"] else f"{len(ids)} people are on the page"


def all_are_created(answer: Any) -> str | None:
    """Judge the answer to a Bulk request."""
    statuses = [str(operation["status"]) for operation in answer["Operations"]]
    return None if statuses == ["201"] * OPERATIONS else f"statuses {set(statuses)}"


MAKERS: dict[str, tuple[Callable[[Directory], Iterator[Request]], Callable[[Any], str | None]]] = {
    "look-up by userName": (look_ups, one_is_found),
    "read by id": (reads, is_a_whole_person),
    "page of 100": (pages, is_a_full_page),
    "PATCH active": (patches, is_a_whole_person),
    "PATCH one member of a group of all": (members, is_the_group),
    "create": (creates, is_a_whole_person),
    "Bulk, operations": (bulks, all_are_created),
}


def works(directory: Directory) -> dict[str, Work]:
    """Return all that is asked of a server, by its name in the table. Reads come first, before writes add people."""
    makers = {name: made for name, made in MAKERS.items() if made[0] is not members or directory.group_id}
    return {name: Work(make, (directory,), judge) for name, (make, judge) in makers.items()}
