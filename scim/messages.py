"""What a message says once it is read, and before anything is done."""

from dataclasses import dataclass
from typing import Any

from scim2_models import PatchOp, ScimFilter, SearchRequest

from directory.group_membership import MemberChange
from scim.plain import Change
from scim.undeclared import UndeclaredOperation


@dataclass(frozen=True)
class PatchRequest:
    """The operations of a PATCH: on declared attributes, if any, on what is kept beside them, on members of a group."""

    declared: "PatchOp[Any] | None"
    undeclared: list[UndeclaredOperation]
    members: MemberChange


@dataclass(frozen=True)
class PlainPatch:
    """A PATCH of a User that only gives values to attributes, and its operations, should models be needed."""

    changes: list[Change]
    operations: list[dict[str, Any]]


@dataclass(frozen=True)
class ListRequest:
    """A validated search request, its filter, and the cursor that it carries; None when it pages by index."""

    request: SearchRequest[Any]
    filter: ScimFilter[Any] | None
    cursor: str | None
