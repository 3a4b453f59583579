"""The protocol as this service provider speaks it: scim2-server's, with what IdPs need on top."""

from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any, TypeVar, Union, cast

from pydantic import ValidationError
from scim2_models import (
    BaseModel,
    Bulk,
    Context,
    InvalidCursorException,
    NotFoundException,
    NotImplementedException,
    PatchOp,
    Resource,
    ResourceType,
    ResponseParameters,
    ScimProvider,
    SearchRequest,
)
from scim2_server.conditions import Conditions
from scim2_server.errors import MethodNotAllowedException, UnsupportedMediaTypeException
from scim2_server.requests import ScimRequest
from scim2_server.responses import SCIM_MEDIA_TYPE, ScimResponse
from scim2_server.routing import RESERVED_NAMES, ROUTES, Target
from scim2_server.service import ScimService, is_json_media_type
from scim2_server.utils import parametrize

from directory.group_membership import MemberChange
from directory.resources import UserResource
from scim.bodies import decode, mend_resource
from scim.cursors import PageCursors
from scim.filters import parse_filter
from scim.group_members import MemberOperations, take_members
from scim.messages import ListRequest, PatchRequest, PlainPatch
from scim.operations import check_number, read_operations
from scim.plain import plain_users
from scim.provider import Group, User
from scim.refusals import apply_patch, refusal_of
from scim.undeclared import apply_undeclared, split_operations

NOT_RESOURCES = {*RESERVED_NAMES, ".search", ""}
# Beyond every directory, and within the integers of every database.
MAX_START_INDEX = 2**31 - 1

ModelT = TypeVar("ModelT", bound=BaseModel)
# A longer list of attributes is read anew with each request.
REMEMBERED_LENGTH = 256

# Almost every request is on one of these, so that its way is looked up, and not searched for among all.
PLAIN_ENDPOINTS = ("Users", "Groups")
RESOURCE_OPERATIONS = {
    (route.method, route.pattern.endswith("{resource_id}")): route.operation
    for route in ROUTES
    if route.pattern in ("/{endpoint}", "/{endpoint}/{resource_id}")
}


class DirectoryService(ScimService):
    """The protocol without input or output. ``secret`` seals cursors; ``bulk`` announces this deployment's limits."""

    def __init__(self, provider: ScimProvider, *, secret: str, bulk: Bulk | None = None) -> None:
        super().__init__(provider, secret=secret)
        self.cursors = PageCursors(secret)
        self.plain = plain_users(provider)
        self._types = {endpoint: self.get_resource_type_by_endpoint(endpoint) for endpoint in PLAIN_ENDPOINTS}
        self._types_by_name = {type_.name or "": type_ for type_ in provider.resource_types}
        self._models_by_name = {type_.name: provider.model_for(type_) for type_ in provider.resource_types}
        # Every request of an identity provider asks for the same.
        self._chosen = lru_cache(maxsize=128)(self._read_chosen)
        self._message_models = self._build_message_models()
        if bulk is not None:
            self.config = self.config.model_copy(update={"bulk": bulk})

    def _build_message_models(self) -> list[type[BaseModel]]:
        """Return the models of searches, PATCHes and chosen attributes, to be held: pydantic forgets them else.

        It does so with each full collection. Building one anew costs as much as ten look-ups.
        """
        models = self.search_models(list(self.provider.resource_types))
        searched: list[Any] = [*models, Union[tuple(models)]]  # noqa: UP007
        of_one = [(message, model) for message in (PatchOp, ResponseParameters) for model in models]
        parametrized: list[Any] = [*((SearchRequest, each) for each in searched), *of_one]
        return [parametrize(message, parameter) for message, parameter in parametrized]

    def match(self, request: ScimRequest) -> Target:  # type: ignore[override]  # where paths lead is known to an instance
        """Return what a request asks for; of a path that leads nowhere no method is said to be wrong.

        :raises NotFoundException: When nothing is at the path.
        :raises MethodNotAllowedException: When what is there does not support the method.
        :raises NotImplementedException: On ``/Me``, whatever the method (RFC 7644 §3.11).
        """
        first, _, rest = request.path.strip("/").partition("/")
        operation = RESOURCE_OPERATIONS.get((request.method, bool(rest)))
        if first in PLAIN_ENDPOINTS and operation is not None and rest != ".search" and "/" not in rest:
            return Target(operation, endpoint=first, resource_id=rest or None)
        if first == "Me" and not rest:
            raise NotImplementedException(detail="/Me is not supported: a SCIM token is no person.")
        if first not in NOT_RESOURCES and self.get_resource_type_by_endpoint(first) is None:
            raise NotFoundException(detail="There is nothing at this address.")
        if rest == ".search" and request.method != "POST":  # the name of no resource
            raise MethodNotAllowedException(allowed=["POST"])
        return super().match(request)

    def options_response(self, request: ScimRequest) -> ScimResponse:
        """Return the answer that names the methods of a path (RFC 9110 §9.3.7).

        :raises NotFoundException: When nothing is at the path.
        """
        try:
            self.match(request)
        except MethodNotAllowedException as error:
            return ScimResponse(HTTPStatus.NO_CONTENT, None, {"Allow": ", ".join(error.allowed)})
        raise AssertionError("OPTIONS is no operation of SCIM")

    def resource_type_at(self, endpoint: str) -> ResourceType:
        """Return the resource type that an endpoint serves.

        :raises NotFoundException: When it serves none.
        """
        return self._types.get(endpoint) or super().resource_type_at(endpoint)

    def get_model(self, resource_type: ResourceType) -> type[Resource[Any]]:
        """Return the model of the resources of a type, with its extensions."""
        return cast("type[Resource[Any]]", self._models_by_name[resource_type.name])

    def read_response_parameters(
        self, resource_type: ResourceType, query: Mapping[str, str]
    ) -> ResponseParameters[Any]:
        """Return what a query says of the attributes of the answer (RFC 7644 §3.9), not to be changed.

        :raises SCIMException: When it is not valid.
        """
        chosen = query.get("attributes"), query.get("excludedAttributes")
        is_long = any(text is not None and len(text) > REMEMBERED_LENGTH for text in chosen)
        return (self._read_chosen if is_long else self._chosen)(resource_type.name or "", *chosen)

    def _read_chosen(self, type_name: str, attributes: str | None, excluded: str | None) -> ResponseParameters[Any]:
        sent = {"attributes": attributes, "excludedAttributes": excluded}
        with self.provider:
            return super().read_response_parameters(
                self._types_by_name[type_name], {name: text for name, text in sent.items() if text is not None}
            )

    def decode_body(self, body: bytes, content_type: str | None) -> Any:
        """Return the JSON value of a body, refusing what cannot be stored."""
        if content_type and content_type != SCIM_MEDIA_TYPE and not is_json_media_type(content_type):
            raise UnsupportedMediaTypeException(
                detail="The body is not JSON. Send Content-Type: application/scim+json or application/json."
            )
        return decode(body)

    def read_body(self, model: type[ModelT], body: bytes, content_type: str | None, scim_ctx: Context) -> ModelT:
        """Validate a body, with the deviations of known IdPs mended."""
        return self.read_payload(model, self.decode_body(body, content_type), scim_ctx)

    def payload_of(self, request: ScimRequest) -> Any:
        """Return the JSON value that a request carries."""
        return self.decode_body(request.body, request.header("Content-Type"))

    def find_plain_user(self, resource_type: ResourceType, payload: Any) -> UserResource | None:
        """Return the User of a payload, if it is so plain that no model has to judge it."""
        if resource_type.name != "User" or not isinstance(payload, dict):
            return None
        document = self.plain.document(mend_resource(payload, str(User.__schema__)))
        return None if document is None else UserResource.of(document, _member(payload, "groups"))

    def read_payload(self, model: type[ModelT], payload: Any, scim_ctx: Context) -> ModelT:
        """Validate the JSON value of a body, with the deviations of known IdPs mended."""
        schema = str(getattr(model, "__schema__", ""))
        members = None
        if issubclass(model, Group) and isinstance(payload, dict):
            payload, members = take_members(payload)
        resource = self.validate(model, mend_resource(payload, schema), scim_ctx)
        if isinstance(resource, Group):
            resource._member_change = members
        if isinstance(resource, User):
            resource._sent_groups = _member(payload, "groups")
        return resource

    def read_list(self, resource_types: list[ResourceType], payload: Any) -> ListRequest:
        """Validate a search request.

        The filter is judged by us and not by the protocol library, which knows
        only declared attributes and repeats in its errors what it was sent.

        :raises SCIMException: When the request is not valid.
        """
        expression = cursor = None
        if isinstance(payload, dict):
            expression, cursor = _member(payload, "filter"), _member(payload, "cursor")
            payload = {key: value for key, value in payload.items() if key.lower() not in ("filter", "cursor")}
            sort_order = _member(payload, "sortOrder")
            if isinstance(sort_order, str):  # some write it with a capital letter
                payload = {key: value for key, value in payload.items() if key.lower() != "sortorder"}
                payload["sortOrder"] = sort_order.lower()
            if cursor is not None:
                payload["cursor"] = ""
        if not isinstance(cursor, str | None):
            raise InvalidCursorException
        request, _ = self.read_search(resource_types, payload)
        request.start_index = min(request.start_index or 1, MAX_START_INDEX)
        return ListRequest(request, None if expression is None else parse_filter(expression), cursor)

    @staticmethod
    def validate(model: type[ModelT], payload: Any, scim_ctx: Context) -> ModelT:
        """Validate a decoded payload.

        :raises SCIMException: When it does not fit the model.
        """
        try:
            return model.model_validate(payload, scim_ctx=scim_ctx)
        except ValidationError as error:
            raise refusal_of(error) from error

    def read_patch_payload(
        self, resource_type: ResourceType, resource_id: str, payload: Any
    ) -> PatchRequest | PlainPatch:
        """Validate the decoded body of a PATCH of one resource."""
        operations = read_operations(payload, resource_id)
        members = MemberChange()
        if resource_type.name == "Group":
            of_members = MemberOperations(self.provider)
            operations, members = of_members.take(operations), of_members.change()
        check_number(operations)
        changes = self.plain.changes(operations) if resource_type.name == "User" else None
        if changes is not None:
            return PlainPatch(changes, operations)
        return self.read_operations(self.get_model(resource_type), operations, members)

    def read_operations(
        self, model: type[Resource[Any]], operations: list[dict[str, Any]], members: MemberChange
    ) -> PatchRequest:
        """Validate the mended operations of a PATCH by the models."""
        if not operations:
            return PatchRequest(None, [], members)
        message: Any = PatchOp.__class_getitem__(model)
        with self.provider:
            declared, undeclared = split_operations(model, operations)
            sent = {"schemas": [str(PatchOp.__schema__)], "Operations": declared}
            patch = self.validate(message, sent, Context.RESOURCE_PATCH_REQUEST) if declared else None
        return PatchRequest(patch, undeclared, members)

    def apply_whole_patch(
        self, current: Resource[Any], patch: PatchRequest, conditions: Conditions
    ) -> Resource[Any] | None:
        """Apply a PATCH, and return the new state of the resource, or None when nothing changes."""
        self.check_preconditions(current, "PATCH", conditions)
        changed = apply_undeclared(current, patch.undeclared)
        if patch.declared is not None:
            changed = apply_patch(patch.declared, current) or changed
        if isinstance(current, Group):
            current._member_change = patch.members
            changed = changed or patch.members.says_anything
        return current if changed else None

    def apply_replacement(
        self, current: Resource[Any], replacement: Resource[Any], conditions: Conditions
    ) -> Resource[Any] | None:
        """Apply a PUT (RFC 7644 §3.5.1).

        ``externalId`` and ``active`` that are left out stay as they are: IdPs
        leave out what they do not manage, and a person must neither lose the
        link to the IdP nor come back to life by it.
        """
        for name in ("external_id", "active"):
            if name in type(replacement).model_fields and name not in replacement.model_fields_set:
                setattr(replacement, name, getattr(current, name))
        changed = super().apply_replacement(current, replacement, conditions)
        # Who is in a group already is known where its rows are written.
        return replacement if isinstance(replacement, Group) else changed


def _member(sent: dict[str, Any], name: str) -> Any:
    """Return a member of a payload, whose names ignore case."""
    if name in sent:
        return sent[name]
    lower = name.lower()
    return next(v for k, v in sent.items() if k.lower() == lower) if lower in map(str.lower, sent) else None
