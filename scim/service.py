"""The protocol as this service provider speaks it: scim2-server's, with what IdPs need on top."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any, TypeVar, Union

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
from scim2_server.handler import ScimHandler
from scim2_server.requests import ScimRequest
from scim2_server.responses import SCIM_MEDIA_TYPE, ScimResponse
from scim2_server.routing import RESERVED_NAMES, ROUTES, Operation, Target
from scim2_server.service import SEARCH_REQUEST_PARAMETERS, ScimService, is_json_media_type
from scim2_server.utils import parametrize

from directory.group_membership import MemberChange
from directory.resources import UserResource
from scim.bodies import decode, mend_resource
from scim.cursors import PageCursors, query_of
from scim.documents import StoredDocument, etag_of, render_list
from scim.filters import parse_filter
from scim.group_members import MemberOperations, take_members
from scim.lookups import plain_list_of
from scim.messages import ListRequest, PatchRequest, PlainPatch, TextResponse
from scim.operations import check_number, read_operations
from scim.plain import Change, NotPlain, PlainUsers, replaced_document
from scim.projection import projection_of, shows_computed
from scim.provider import Group, User
from scim.reading import get_document
from scim.refusals import apply_patch, refusal_of
from scim.storage import DirectoryStorage
from scim.undeclared import apply_undeclared, split_operations

NOT_RESOURCES = {*RESERVED_NAMES, ".search", ""}
# Beyond every directory, and within the integers of every database.
MAX_START_INDEX = 2**31 - 1

ModelT = TypeVar("ModelT", bound=BaseModel)

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
        self.plain = PlainUsers(provider)
        self._message_models = self._build_message_models()
        self._plain_types = {
            name: super(DirectoryService, self).get_resource_type_by_endpoint(name) for name in PLAIN_ENDPOINTS
        }
        if bulk is not None:
            self.config = self.config.model_copy(update={"bulk": bulk})

    def _build_message_models(self) -> list[type[BaseModel]]:
        """Return the models of searches and PATCHes, to be held: pydantic forgets them with each full collection.

        Building one anew costs as much as ten look-ups.
        """
        models = self.search_models(list(self.provider.resource_types))
        searched: list[Any] = [*models, Union[tuple(models)]]  # noqa: UP007
        parametrized = [(SearchRequest, each) for each in searched] + [(PatchOp, model) for model in models]
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

    def get_resource_type_by_endpoint(self, endpoint: str) -> ResourceType | None:
        """Return the resource type of an endpoint, if any. Those that almost every request names are looked up."""
        if endpoint in PLAIN_ENDPOINTS:
            return self._plain_types[endpoint]
        return super().get_resource_type_by_endpoint(endpoint)

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
        members = MemberOperations()
        if resource_type.name == "Group":
            operations = members.take(operations)
        check_number(operations)
        changes = self.plain.changes(operations) if resource_type.name == "User" else None
        if changes is not None:
            return PlainPatch(changes, operations)
        return self.read_operations(self.get_model(resource_type), operations, members.change())

    def read_operations(
        self, model: type[Resource[Any]], operations: list[dict[str, Any]], members: MemberChange
    ) -> PatchRequest:
        """Validate the mended operations of a PATCH by the models."""
        declared, undeclared = split_operations(model, operations)
        message: Any = PatchOp.__class_getitem__(model)
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


class DirectoryHandler(ScimHandler):
    """Serves one request in one transaction. A read is answered from stored text, without a model."""

    service: DirectoryService
    storage: DirectoryStorage

    def handle(self, request: ScimRequest) -> ScimResponse:
        """Serve a request by the method of its operation, as the provider has it from beginning to end."""
        with self.service.provider:
            return self.serve(request)

    def serve(self, request: ScimRequest) -> ScimResponse:
        """Serve a request by the method of its operation."""
        served: ScimResponse = getattr(self, self.service.match(request).operation.value)(request)
        return served

    def query(self, request: ScimRequest) -> ScimResponse:
        """Read a resource (RFC 7644 §3.4.1)."""
        target = self.service.route(request, Operation.query)
        resource_type = self.service.resource_type_at(target.endpoint or "")
        projection = None
        if is_projected(request.query):
            with self.service.provider:
                parameters = self.service.read_response_parameters(resource_type, request.query)
            projection = projection_of(self.service.get_model(resource_type), parameters)
        document = get_document(
            self.storage.session,
            self.storage.directory,
            resource_type.name or "",
            target.resource_id or "",
            computed=shows_computed(projection),
        )
        headers = {"ETag": document.etag}
        is_same = not self.service.read_conditions(request).check(document.etag, "GET")
        # The groups of a user may have other names meanwhile, which is no change of the user's own version.
        if is_same and not (document.resource_type == "User" and document.computed):
            return ScimResponse(HTTPStatus.NOT_MODIFIED, None, headers)
        headers["Content-Location"] = f"{request.base_url}/{document.path()}"
        return TextResponse(HTTPStatus.OK, document.render(request.base_url, projection), headers)

    def search(self, request: ScimRequest) -> ScimResponse:
        """Search one resource type, or all of them at the root (RFC 7644 §3.4.2)."""
        target = self.service.route(request, Operation.search)
        plain = (
            plain_list_of((target.endpoint or "")[:-1], request.query) if target.endpoint in PLAIN_ENDPOINTS else None
        )
        if plain is not None:
            text = plain.answer(self.storage.session, self.storage.directory, request.base_url)
            return TextResponse(HTTPStatus.OK, text)
        known = {key: request.query[key] for key in SEARCH_REQUEST_PARAMETERS if key in request.query}
        return self._list(request.base_url, self.service.searched_types(target.endpoint), known)

    def search_with_body(self, request: ScimRequest) -> ScimResponse:
        """Search with POST on ``.search`` (RFC 7644 §3.4.3)."""
        target = self.service.route(request, Operation.search_with_body)
        payload = self.service.decode_body(request.body, request.header("Content-Type"))
        return self._list(request.base_url, self.service.searched_types(target.endpoint), payload)

    def _list(self, base_url: str, resource_types: list[ResourceType], payload: Any) -> ScimResponse:
        """Answer a search with one page of stored resources."""
        with self.service.provider:
            asked = self.service.read_list(resource_types, payload)
        request, cursors = asked.request, self.service.cursors
        projections = {
            type_.name or "": projection_of(self.service.get_model(type_), request) for type_ in resource_types
        }
        computed = any(shows_computed(projection) for projection in projections.values())
        search = self.storage.search_of(resource_types, request, asked.filter)
        if asked.cursor is None:
            start_index = request.start_index or 1
            page = search.page_by_index(start_index, request.count, computed=computed)
            numbers: dict[str, Any] = {"totalResults": page.total, "startIndex": start_index}
        else:
            query = query_of(self.storage.directory.organization_id, list(projections), asked.filter, request)
            position = cursors.open(asked.cursor, query, request.count)
            page = search.page_by_cursor(position, request.count, computed=computed)
            numbers = {
                "totalResults": page.total,
                "nextCursor": cursors.seal(query, request.count, page.next),
                "previousCursor": cursors.seal(query, request.count, page.previous),
            }
        return TextResponse(HTTPStatus.OK, render_list(page.documents, base_url, projections, **numbers))

    def create(self, request: ScimRequest) -> ScimResponse:
        """Create a resource (RFC 7644 §3.3)."""
        target = self.service.route(request, Operation.create)
        resource_type, payload = self.service.resource_type_at(target.endpoint or ""), self.service.payload_of(request)
        resource = self.service.find_plain_user(resource_type, payload) or self.service.read_payload(
            self.service.get_model(resource_type), payload, Context.RESOURCE_CREATION_REQUEST
        )
        document = self.storage.add(resource_type, resource)
        return self.answer(HTTPStatus.CREATED, document, "Location", request.base_url)

    def answer(self, status: HTTPStatus, document: StoredDocument, place: str, base_url: str) -> ScimResponse:
        """Return the answer that shows what was written; ``place`` is the header that says where it is."""
        headers = {"ETag": document.etag, place: f"{base_url}/{document.path()}"}
        return TextResponse(status, document.render(base_url), headers)

    def patch(self, request: ScimRequest) -> ScimResponse:
        """Modify a resource (RFC 7644 §3.5.2)."""
        target = self.service.route(request, Operation.patch)
        resource_type, resource_id = self.service.resource_type_at(target.endpoint or ""), target.resource_id or ""
        parameters = self.response_parameters(request, resource_type)
        patch = self.service.read_patch_payload(resource_type, resource_id, self.service.payload_of(request))
        self.apply_patch(resource_type, resource_id, patch, self.service.read_conditions(request))
        return self.written_response(request, resource_type, resource_id, parameters)

    def apply_patch(
        self, resource_type: ResourceType, resource_id: str, patch: PatchRequest | PlainPatch, conditions: Conditions
    ) -> None:
        """Apply a PATCH to a stored resource, whose row is held meanwhile."""
        if isinstance(patch, PlainPatch):
            if self.apply_plain_patch(resource_id, patch.changes, conditions):
                return
            model = self.service.get_model(resource_type)
            patch = self.service.read_operations(model, patch.operations, MemberChange())
        current = self.storage.get_to_write(resource_type, resource_id)
        version = current.meta.version if current.meta else None
        patched = self.service.apply_whole_patch(current, patch, conditions)
        if patched is not None:
            self.storage.store(resource_type, patched, expected_version=version)

    def apply_plain_patch(self, user_id: str, changes: Sequence[Change], conditions: Conditions) -> bool:
        """Give values to attributes of a stored User; tell whether what is stored was plain enough for it."""
        held = self.storage.hold_anew(user_id)
        conditions.check(etag_of(held.row.version), "PATCH")
        try:
            changed = self.service.plain.changed(held.document, changes)
        except NotPlain:
            return False
        if changed != held.document:
            self.storage.write(held, UserResource.of(changed))
        return True

    def replace(self, request: ScimRequest) -> ScimResponse:
        """Replace a resource (RFC 7644 §3.5.1)."""
        target = self.service.route(request, Operation.replace)
        resource_type, resource_id = self.service.resource_type_at(target.endpoint or ""), target.resource_id or ""
        parameters = self.response_parameters(request, resource_type)
        self.apply_replacement(resource_type, resource_id, request)
        return self.written_response(request, resource_type, resource_id, parameters)

    def apply_replacement(self, resource_type: ResourceType, resource_id: str, request: ScimRequest) -> None:
        """Apply a PUT to a stored resource, whose row is held meanwhile."""
        if resource_type.name == "User":
            self.storage.hold_anew(resource_id)
        payload, conditions = self.service.payload_of(request), self.service.read_conditions(request)
        plain = self.service.find_plain_user(resource_type, payload)
        if plain is not None:
            self.apply_plain_replacement(resource_id, plain, conditions)
            return
        current = self.storage.get_to_write(resource_type, resource_id)
        version = current.meta.version if current.meta else None
        model = self.service.get_model(resource_type)
        replacement = self.service.read_payload(model, payload, Context.RESOURCE_REPLACEMENT_REQUEST)
        replaced = self.service.apply_replacement(current, replacement, conditions)
        if replaced is not None:
            self.storage.store(resource_type, replaced, expected_version=version)

    def apply_plain_replacement(self, user_id: str, replacement: UserResource, conditions: Conditions) -> None:
        """Replace a stored User; what ``apply_replacement`` of the service keeps stays as it is."""
        held = self.storage.hold(user_id)
        conditions.check(etag_of(held.row.version), "PUT")
        document = replaced_document(held.document, replacement.document)
        if document != held.document:
            self.storage.write(held, replace(UserResource.of(document), sent_groups=replacement.sent_groups))

    def delete_resource(self, resource_type: ResourceType, resource_id: str, conditions: Conditions) -> None:
        """Delete a stored resource once its conditions are met."""
        if resource_type.name == "User":
            self.storage.hold_groups_of(resource_id)
        current = self.storage.get_to_write(resource_type, resource_id)
        self.service.check_deletion(current, conditions)
        version = current.meta.version if current.meta else None
        self.storage.delete(resource_type, resource_id, expected_version=version)

    def written_response(
        self,
        request: ScimRequest,
        resource_type: ResourceType,
        resource_id: str,
        response_parameters: ResponseParameters[Any] | None,
    ) -> ScimResponse:
        """Return the answer to a PUT or PATCH: the resource as it is now; of a large group no members."""
        if response_parameters is not None:
            resource = self.storage.get(resource_type, resource_id, response_parameters=response_parameters)
            return self.service.replacement_response(request.base_url, resource, response_parameters)
        document = self.storage.written_document(resource_type, resource_id)
        return self.answer(HTTPStatus.OK, document, "Content-Location", request.base_url)

    def response_parameters(self, request: ScimRequest, resource_type: ResourceType) -> ResponseParameters[Any] | None:
        """Return what a request says of the attributes of its answer; None when it wants all (RFC 7644 §3.9)."""
        if not is_projected(request.query):
            return None
        return self.service.read_response_parameters(resource_type, request.query)


def _member(sent: dict[str, Any], name: str) -> Any:
    """Return a member of a payload, whose names ignore case."""
    if name in sent:
        return sent[name]
    lower = name.lower()
    return next(v for k, v in sent.items() if k.lower() == lower) if lower in map(str.lower, sent) else None


def is_projected(query: Mapping[str, str]) -> bool:
    """Tell whether a request asks for some attributes only (RFC 7644 §3.9)."""
    return bool(query.get("attributes") or query.get("excludedAttributes"))
