"""One request of the protocol, served from the tables of one directory."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, cast

from scim2_models import Context, ResourceType
from scim2_server.conditions import Conditions
from scim2_server.handler import ScimHandler
from scim2_server.requests import ScimRequest
from scim2_server.responses import ScimResponse
from scim2_server.routing import Operation, Target
from scim2_server.service import SEARCH_REQUEST_PARAMETERS

from directory.group_membership import MemberChange
from directory.resources import UserResource
from scim.cursors import query_of
from scim.documents import StoredDocument, etag_of, render_list
from scim.lookups import plain_list_of
from scim.messages import PatchRequest, PlainPatch, TextResponse
from scim.plain import Change, NotPlain, replaced_document
from scim.projection import Projection, projection_of, shows_computed
from scim.reading import get_document
from scim.service import PLAIN_ENDPOINTS, DirectoryService
from scim.storage import DirectoryStorage


class DirectoryHandler(ScimHandler):
    """Serves one request in one transaction. A read is answered from stored text, without a model."""

    service: DirectoryService
    storage: DirectoryStorage

    def __init__(self, service: DirectoryService, storage: DirectoryStorage) -> None:
        # The library checks here whether they fit each other; of ours that is known.
        self.service, self.storage = service, storage

    def handle(self, request: ScimRequest) -> ScimResponse:
        """Serve a request (RFC 7644 §3.2)."""
        return self.serve(request, self.service.match(request))

    def serve(self, request: ScimRequest, target: Target) -> ScimResponse:
        """Serve a request by our method for its operation, else by the library's, which matches the request again.

        Each of them enters the provider where it needs models.
        """
        own = SERVED.get(target.operation)
        served = getattr(self, own)(request, target) if own else getattr(self, target.operation.value)(request)
        return cast("ScimResponse", served)

    def read_one(self, request: ScimRequest, target: Target) -> ScimResponse:
        """Answer with the resource that a request asks for (RFC 7644 §3.4.1)."""
        resource_type = self.service.resource_type_at(target.endpoint or "")
        projection = self.projection(request, resource_type)
        document = get_document(
            self.storage.session,
            self.storage.directory,
            resource_type.name or "",
            target.resource_id or "",
            computed=shows_computed(projection),
        )
        etag = document.etag
        headers = {"ETag": etag}
        is_same = not self.service.read_conditions(request).check(etag, "GET")
        # The groups of a user may have other names meanwhile, which is no change of the user's own version.
        if is_same and not (document.resource_type == "User" and document.computed):
            return ScimResponse(HTTPStatus.NOT_MODIFIED, None, headers)
        headers["Content-Location"] = f"{request.base_url}/{document.path()}"
        return TextResponse(HTTPStatus.OK, document.render(request.base_url, projection), headers)

    def read_list(self, request: ScimRequest, target: Target) -> ScimResponse:
        """Search one resource type, or all of them at the root (RFC 7644 §3.4.2)."""
        plain = (
            plain_list_of((target.endpoint or "")[:-1], request.query) if target.endpoint in PLAIN_ENDPOINTS else None
        )
        if plain is not None:
            text = plain.answer(self.storage.session, self.storage.directory, request.base_url)
            return TextResponse(HTTPStatus.OK, text)
        known = {key: request.query[key] for key in SEARCH_REQUEST_PARAMETERS if key in request.query}
        with self.service.provider:
            return self._list(request.base_url, self.service.searched_types(target.endpoint), known)

    def search_with_body(self, request: ScimRequest) -> ScimResponse:
        """Search with POST on ``.search`` (RFC 7644 §3.4.3)."""
        target = self.service.route(request, Operation.search_with_body)
        payload = self.service.decode_body(request.body, request.header("Content-Type"))
        with self.service.provider:
            return self._list(request.base_url, self.service.searched_types(target.endpoint), payload)

    def _list(self, base_url: str, resource_types: list[ResourceType], payload: Any) -> ScimResponse:
        """Answer a search with one page of stored resources, within the provider."""
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

    def create_one(self, request: ScimRequest, target: Target) -> ScimResponse:
        """Create a resource (RFC 7644 §3.3)."""
        resource_type, payload = self.service.resource_type_at(target.endpoint or ""), self.service.payload_of(request)
        plain = self.service.find_plain_user(resource_type, payload)
        if plain is not None:
            document = self.storage.add(resource_type, plain)
        else:
            model = self.service.get_model(resource_type)
            with self.service.provider:
                resource = self.service.read_payload(model, payload, Context.RESOURCE_CREATION_REQUEST)
                document = self.storage.add(resource_type, resource)
        return self.answer(HTTPStatus.CREATED, document, "Location", request.base_url)

    def answer(
        self,
        status: HTTPStatus,
        document: StoredDocument,
        place: str,
        base_url: str,
        projection: Projection | None = None,
    ) -> ScimResponse:
        """Return the answer that shows what was written; ``place`` is the header that says where it is."""
        headers = {"ETag": document.etag, place: f"{base_url}/{document.path()}"}
        return TextResponse(status, document.render(base_url, projection), headers)

    def patch_one(self, request: ScimRequest, target: Target) -> ScimResponse:
        """Modify a resource (RFC 7644 §3.5.2)."""
        resource_type, resource_id = self.service.resource_type_at(target.endpoint or ""), target.resource_id or ""
        projection = self.projection(request, resource_type)
        patch = self.service.read_patch_payload(resource_type, resource_id, self.service.payload_of(request))
        self.apply_patch(resource_type, resource_id, patch, self.service.read_conditions(request))
        return self.written_response(request, resource_type, resource_id, projection)

    def apply_patch(
        self, resource_type: ResourceType, resource_id: str, patch: PatchRequest | PlainPatch, conditions: Conditions
    ) -> None:
        """Apply a PATCH to a stored resource, whose row is held meanwhile."""
        if isinstance(patch, PlainPatch):
            if self.apply_plain_patch(resource_id, patch.changes, conditions):
                return
            model = self.service.get_model(resource_type)
            patch = self.service.read_operations(model, patch.operations, MemberChange())
        if resource_type.name == "Group" and patch.is_of_members_alone:
            self.apply_member_change(resource_id, patch.members, conditions)
            return
        with self.service.provider:
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

    def apply_member_change(self, group_id: str, members: MemberChange, conditions: Conditions) -> None:
        """Have people join and leave a stored Group: of its document nothing has to be read."""
        group = self.storage.hold_group_anew(group_id)
        conditions.check(etag_of(group.version), "PATCH")
        if members.says_anything:
            self.storage.change_members(group, members)

    def replace_one(self, request: ScimRequest, target: Target) -> ScimResponse:
        """Replace a resource (RFC 7644 §3.5.1)."""
        resource_type, resource_id = self.service.resource_type_at(target.endpoint or ""), target.resource_id or ""
        projection = self.projection(request, resource_type)
        self.apply_replacement(resource_type, resource_id, request)
        return self.written_response(request, resource_type, resource_id, projection)

    def apply_replacement(self, resource_type: ResourceType, resource_id: str, request: ScimRequest) -> None:
        """Apply a PUT to a stored resource, whose row is held meanwhile."""
        if resource_type.name == "User":
            self.storage.hold_anew(resource_id)
        payload, conditions = self.service.payload_of(request), self.service.read_conditions(request)
        plain = self.service.find_plain_user(resource_type, payload)
        if plain is not None:
            self.apply_plain_replacement(resource_id, plain, conditions)
            return
        model = self.service.get_model(resource_type)
        with self.service.provider:
            current = self.storage.get_to_write(resource_type, resource_id)
            version = current.meta.version if current.meta else None
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
            self.storage.write(held, UserResource.of(document)._replace(sent_groups=replacement.sent_groups))

    def delete_resource(self, resource_type: ResourceType, resource_id: str, conditions: Conditions) -> None:
        """Delete a stored resource once its conditions are met."""
        if resource_type.name == "User":
            self.storage.hold_groups_of(resource_id)
        current = self.storage.get_to_write(resource_type, resource_id)
        self.service.check_deletion(current, conditions)
        version = current.meta.version if current.meta else None
        self.storage.delete(resource_type, resource_id, expected_version=version)

    def written_response(
        self, request: ScimRequest, resource_type: ResourceType, resource_id: str, projection: Projection | None
    ) -> ScimResponse:
        """Return the answer to a PUT or PATCH: the resource as it is now; of a large group no members, unless asked."""
        document = self.storage.written_document(resource_type, resource_id, projection)
        return self.answer(HTTPStatus.OK, document, "Content-Location", request.base_url, projection)

    def projection(self, request: ScimRequest, resource_type: ResourceType) -> Projection | None:
        """Return what a request wants to see of a resource; None when it wants all (RFC 7644 §3.9)."""
        if not is_projected(request.query):
            return None
        parameters = self.service.read_response_parameters(resource_type, request.query)
        return projection_of(self.service.get_model(resource_type), parameters)


# Our methods by what is asked for; they are given where the request leads.
SERVED = {
    Operation.query: "read_one",
    Operation.search: "read_list",
    Operation.create: "create_one",
    Operation.patch: "patch_one",
    Operation.replace: "replace_one",
}


def is_projected(query: Mapping[str, str]) -> bool:
    """Tell whether a request asks for some attributes only (RFC 7644 §3.9)."""
    return bool(query.get("attributes") or query.get("excludedAttributes"))
