"""The protocol as this service provider speaks it: scim2-server's, with what IdPs need on top."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, TypeVar

from pydantic import ValidationError
from scim2_models import BaseModel, Context, PatchOp, Resource, ResourceType, ResponseParameters, SearchRequest
from scim2_server.conditions import Conditions
from scim2_server.handler import ScimHandler
from scim2_server.requests import ScimRequest
from scim2_server.responses import ScimResponse
from scim2_server.routing import Operation
from scim2_server.service import ScimService, scim_exception_of

from scim.bodies import decode, mend_patch, mend_resource
from scim.documents import StoredDocument, render_list
from scim.filters import check_filter_size
from scim.provider import User
from scim.reading import get_document, search_documents
from scim.storage import DirectoryStorage

# Of a larger group, the answer to a PATCH leaves the members out: an IdP that adds one must not be sent all of them.
MAX_MEMBERS_ANSWERED = 200

ModelT = TypeVar("ModelT", bound=BaseModel)


class TextResponse(ScimResponse):
    """An answer whose body is JSON text already."""

    def __init__(self, status: HTTPStatus, text: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, None, headers or {})
        self.text = text


class DirectoryService(ScimService):
    """The protocol without input or output."""

    def decode_body(self, body: bytes, content_type: str | None) -> Any:
        """Return the JSON value of a body, refusing what cannot be stored."""
        self.ensure_json(content_type)
        return decode(body)

    def read_body(self, model: type[ModelT], body: bytes, content_type: str | None, scim_ctx: Context) -> ModelT:
        """Validate a body, with the deviations of known IdPs mended."""
        payload = mend_resource(self.decode_body(body, content_type))
        resource = self.validate(model, payload, scim_ctx)
        if isinstance(resource, User):
            resource._sent_groups = next((value for key, value in payload.items() if key.lower() == "groups"), None)
        return resource

    def read_search(self, resource_types: list[ResourceType], payload: Any) -> tuple[SearchRequest[Any], Any]:
        """Validate a search request, whose filter must be of a reasonable size."""
        if isinstance(payload, dict):
            check_filter_size(next((value for key, value in payload.items() if key.lower() == "filter"), None))
        return super().read_search(resource_types, payload)

    @staticmethod
    def validate(model: type[ModelT], payload: Any, scim_ctx: Context) -> ModelT:
        """Validate a decoded payload.

        :raises SCIMException: When it does not fit the model.
        """
        try:
            return model.model_validate(payload, scim_ctx=scim_ctx)
        except ValidationError as error:
            raise scim_exception_of(error) from error

    def read_patch_of(
        self, resource_type: ResourceType, resource_id: str, body: bytes, content_type: str | None
    ) -> "PatchOp[Any]":
        """Validate the body of a PATCH of one resource."""
        payload = mend_patch(self.decode_body(body, content_type), resource_id)
        model: Any = PatchOp.__class_getitem__(self.get_model(resource_type))
        patch: PatchOp[Any] = self.validate(model, payload, Context.RESOURCE_PATCH_REQUEST)
        return patch

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
        return super().apply_replacement(current, replacement, conditions)

    def patch_response(
        self, base_url: str, resource: Resource[Any], response_parameters: ResponseParameters[Any]
    ) -> ScimResponse:
        """Return the answer to a PATCH: the resource as it is now, which Okta checks; of a large group no members."""
        published: Any = self.publish(base_url, resource)
        if len(getattr(published, "members", None) or []) > MAX_MEMBERS_ANSWERED and not response_parameters.attributes:
            published.members = None
        return self.resource_response(published, Context.RESOURCE_REPLACEMENT_RESPONSE, response_parameters)


class DirectoryHandler(ScimHandler):
    """Serves one request in one transaction. A read is answered from stored text wherever nothing is projected."""

    service: DirectoryService
    storage: DirectoryStorage

    def query(self, request: ScimRequest) -> ScimResponse:
        """Read a resource (RFC 7644 §3.4.1)."""
        if is_projected(request.query):
            return super().query(request)
        target = self.service.route(request, Operation.query)
        resource_type = self.service.resource_type_at(target.endpoint or "")
        document = get_document(
            self.storage.session, self.storage.directory, resource_type.name or "", target.resource_id or ""
        )
        headers = {"ETag": document.etag}
        if not self.service.read_conditions(request).check(document.etag, "GET"):
            return ScimResponse(HTTPStatus.NOT_MODIFIED, None, headers)
        headers["Content-Location"] = f"{request.base_url}/{document.path()}"
        return TextResponse(HTTPStatus.OK, document.render(request.base_url), headers)

    def search(self, request: ScimRequest) -> ScimResponse:
        """Search one resource type (RFC 7644 §3.4.2)."""
        if is_projected(request.query):
            return super().search(request)
        target = self.service.route(request, Operation.search)
        resource_types = self.service.searched_types(target.endpoint)
        if len(resource_types) != 1:
            return super().search(request)
        with self.service.provider:
            search_request, _ = self.service.read_search_query(resource_types, request.query)
        start_index = search_request.start_index or 1
        total, documents = search_documents(
            self.storage.session,
            self.storage.directory,
            resource_types[0].name or "",
            self.storage.condition_of(resource_types[0], search_request),
            start_index=start_index,
            count=search_request.count,
        )
        return list_response(documents, request.base_url, total=total, start_index=start_index)

    def patch(self, request: ScimRequest) -> ScimResponse:
        """Modify a resource (RFC 7644 §3.5.2)."""
        with self.service.provider:
            target = self.service.route(request, Operation.patch)
            resource_type = self.service.resource_type_at(target.endpoint or "")
            resource_id = target.resource_id or ""
            response_parameters = self.service.read_response_parameters(resource_type, request.query)
            patch_op = self.service.read_patch_of(
                resource_type, resource_id, request.body, request.header("Content-Type")
            )
            with self.storage.operation():
                resource = self.patch_resource(
                    resource_type, resource_id, patch_op, self.service.read_conditions(request)
                )
            return self.service.patch_response(request.base_url, resource, response_parameters)


def list_response(documents: list[StoredDocument], base_url: str, *, total: int, start_index: int) -> TextResponse:
    """Return the answer that lists a page of stored resources."""
    return TextResponse(HTTPStatus.OK, render_list(documents, base_url, total=total, start_index=start_index))


def is_projected(query: Mapping[str, str]) -> bool:
    """Tell whether a request asks for some attributes only (RFC 7644 §3.9)."""
    return bool(query.get("attributes") or query.get("excludedAttributes"))
