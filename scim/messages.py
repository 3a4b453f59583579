"""What a message says once it is read, before anything is done; and an answer that is text already."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NamedTuple

from scim2_models import PatchOp, ScimFilter, SearchRequest
from scim2_server.responses import ScimResponse

from directory.group_membership import MemberChange
from scim.plain import Change
from scim.undeclared import UndeclaredOperation


@dataclass(frozen=True)
class PatchRequest:
    """The operations of a PATCH: on declared attributes, if any, on what is kept beside them, on members of a group."""

    declared: "PatchOp[Any] | None"
    undeclared: list[UndeclaredOperation]
    members: MemberChange

    @property
    def is_of_members_alone(self) -> bool:
        """Whether nothing of the resource is changed but who is in it, if that is."""
        return self.declared is None and not self.undeclared


class PlainPatch(NamedTuple):
    """A PATCH of a User that only gives values to attributes, and its operations, should models be needed."""

    changes: list[Change]
    operations: list[dict[str, Any]]


@dataclass(frozen=True)
class ListRequest:
    """A validated search request, its filter, and the cursor that it carries; None when it pages by index."""

    request: SearchRequest[Any]
    filter: ScimFilter[Any] | None
    cursor: str | None


class TextResponse(ScimResponse):
    """An answer whose body is JSON text already. Its media type goes without saying."""

    def __init__(self, status: HTTPStatus, text: str, headers: dict[str, str] | None = None) -> None:
        self.status, self.body, self.headers = status, None, headers or {}
        self.text = text
