"""The activity log: what the IdP asked for, what became of it, and what its admin should know.

An entry is written for each SCIM request that wrote something, was refused or
failed, or tested the connection; of a Bulk request one for the whole and one
for each operation (``parent_id``). Plain look-ups are not written down.

Columns of ``DirectoryActivity``, beside who, when, method, path and status:

- ``action``: one word for what became of it, see ``ACTIONS``.
- ``target_type`` (``User`` or ``Group``), ``target_id`` and ``target_label``
  (userName, displayName): what the request was about, as far as is known.
- ``effects``: what changed, a list of ``{"action", "type", "id", "label",
  "changes"}``; the target first, then the people whom a group's change
  reached, at most 20. ``changes`` is ``{field: {"from", "to"}}`` of the
  product's user, and of a group ``joined`` and ``left``, each a number.
- ``reason``: for refusals a machine code; ``directory.remedies`` has the words.
- ``detail``: the sentence of the answer. ``warnings``: sentences, although it succeeded.
- ``request_body`` and ``answer_body``: text, mostly JSON, masked and at most
  8 KiB; null where there was none or bodies are not kept. A longer one ends
  with ``… (12,345 bytes in all)`` and is no JSON any more.
- ``duration_ms``: from the arrival of the request until its entry was written.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field
from sqlalchemy import insert
from sqlalchemy.orm import Session
from typing_extensions import TypedDict

from clock import now_ms
from directory.directories import Directory
from directory.kept_bodies import kept_body
from models import DirectoryActivity
from prepared import Prepared
from webhooks.representations import Moment

ACTIONS = {
    "created": "Created",
    "restored": "Restored",
    "updated": "Updated",
    "activated": "Reactivated",
    "deactivated": "Deactivated",
    "deleted": "Deleted",
    "unchanged": "Nothing changed",
    "tested": "Tested the connection",
    "bulk": "Bulk request",
    "mapped": "Applied the attribute mapping",
    "refused": "Refused",
    "failed": "Failed",
}
DETAIL_LENGTH = 1000
LABEL_LENGTH = 200
WARNINGS = 20

INSERT = Prepared(insert(DirectoryActivity))


class Call(NamedTuple):
    """A request of an IdP: the id under which it is logged, what was asked, and what was sent."""

    id: str
    method: str
    path: str
    body: bytes | None = None
    user_agent: str | None = None
    parent_id: str | None = None


class Outcome(NamedTuple):
    """What became of a request: the status, the answer, and of a refusal its reason and its sentence."""

    status: int
    answer: bytes | None = None
    detail: str | None = None
    reason: str | None = None
    duration_ms: int | None = None


class ScimActivityObject(TypedDict):
    """A request of an identity provider that wrote or was refused."""

    id: str
    object: Literal["scim_activity"]
    organization_id: str
    scim_token_id: str | None
    parent_id: Annotated[str | None, Field(description="The Bulk request of which it was an operation.")]
    method: str
    path: str
    status: int
    action: Annotated[str, Field(description=f"What became of it: {', '.join(f'`{name}`' for name in ACTIONS)}.")]
    target_type: Annotated[str | None, Field(description="`User` or `Group`.")]
    target_id: str | None
    target_label: Annotated[str | None, Field(description="A user name or the name of a group.")]
    effects: Annotated[
        list[dict[str, Any]], Field(description="What changed: the target first, then others it reached.")
    ]
    reason: Annotated[str | None, Field(description="Why it was refused, as a code.")]
    detail: Annotated[str | None, Field(description="Why it was refused, as a sentence.")]
    warnings: Annotated[list[str], Field(description="What the admin should know of it.")]
    user_agent: str | None
    duration_ms: int | None
    request_body: Annotated[str | None, Field(description="What was sent, without secrets, at most 8 KiB.")]
    answer_body: Annotated[str | None, Field(description="What was answered, likewise.")]
    occurred_at: Moment


def record_activity(
    session: Session, directory: Directory, call: Call, outcome: Outcome, *, keep_bodies: bool = True
) -> None:
    """Write one request of an IdP into the log of its directory."""
    INSERT.run(session, activity_entry(directory, call, outcome, keep_bodies=keep_bodies))


def record_entries(session: Session, entries: Sequence[dict[str, Any]]) -> None:
    """Write entries that ``activity_entry`` made into the log, in one statement."""
    INSERT.run_all(session, entries)


def activity_entry(directory: Directory, call: Call, outcome: Outcome, *, keep_bodies: bool = True) -> dict[str, Any]:
    """Return one request of an IdP as it is written into the log of its directory."""
    target_type, target_id, target_label = target_of(directory, call.path)
    effects = directory.effects if outcome.status < 400 else []
    return {
        "id": call.id,
        "organization_id": directory.organization_id,
        "token_id": directory.token_id,
        "parent_id": call.parent_id,
        "method": call.method[:8],
        "path": _storable(call.path, DETAIL_LENGTH),
        "status": outcome.status,
        "action": action_of(call, outcome, effects),
        "target_type": target_type,
        "target_id": target_id,
        "target_label": _storable(target_label, LABEL_LENGTH),
        "effects": effects,
        "reason": outcome.reason,
        "detail": _storable(outcome.detail, DETAIL_LENGTH),
        "warnings": list(dict.fromkeys(directory.warnings))[:WARNINGS],
        "user_agent": _storable(call.user_agent, LABEL_LENGTH),
        "duration_ms": outcome.duration_ms,
        "request_body": kept_body(call.body) if keep_bodies else None,
        "answer_body": kept_body(outcome.answer) if keep_bodies else None,
        "occurred_at": now_ms(),
    }


def _storable(text: str | None, length: int) -> str | None:
    """Return the beginning of a text without what a database cannot hold, which a refusal may repeat."""
    if not text:
        return None
    if text.isascii() and "\0" not in text:
        return text[:length]
    return text[:length].replace("\0", "").encode("utf-8", "replace").decode()


def action_of(call: Call, outcome: Outcome, effects: Sequence[dict[str, Any]]) -> str:
    """Return in one word what became of a request."""
    if outcome.status >= 400:
        return "failed" if outcome.status >= 500 else "refused"
    if effects:
        return str(effects[0]["action"])
    if call.method in ("GET", "HEAD"):
        return "tested"
    if call.path.endswith("/scim/attribute-mappings"):
        return "mapped"
    return "bulk" if call.path.rstrip("/").endswith("/Bulk") else "unchanged"


def target_of(directory: Directory, path: str) -> tuple[str | None, str | None, str | None]:
    """Return what a request was about: the kind, the id and a label, each None where it is not known."""
    if directory.effects:
        first = directory.effects[0]
        return first["type"], first["id"], first["label"]
    parts = path.partition("?")[0].removeprefix("/scim/v2").strip("/").split("/")
    kind = {"users": "User", "groups": "Group"}.get(parts[0].lower())
    return kind, parts[1][:LABEL_LENGTH] if kind and len(parts) == 2 and parts[1] else None, directory.label


def activity_object(activity: DirectoryActivity) -> ScimActivityObject:
    """Return a request of an IdP as the JSON API shows it."""
    return {
        "id": activity.id,
        "object": "scim_activity",
        "organization_id": activity.organization_id,
        "scim_token_id": activity.token_id,
        "parent_id": activity.parent_id,
        "method": activity.method,
        "path": activity.path,
        "status": activity.status,
        "action": activity.action,
        "target_type": activity.target_type,
        "target_id": activity.target_id,
        "target_label": activity.target_label,
        "effects": activity.effects,
        "reason": activity.reason,
        "detail": activity.detail,
        "warnings": activity.warnings,
        "user_agent": activity.user_agent,
        "duration_ms": activity.duration_ms,
        "request_body": activity.request_body,
        "answer_body": activity.answer_body,
        "occurred_at": activity.occurred_at,
    }
