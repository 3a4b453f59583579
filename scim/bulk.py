"""Bulk (RFC 7644 §3.7): many operations in one request, each served as if it had come alone."""

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, cast

from scim2_models import (
    BulkOperation,
    ConflictException,
    Error,
    InvalidSyntaxException,
    InvalidValueException,
    PayloadTooLargeException,
    Resource,
    SCIMException,
    UniquenessException,
)
from scim2_server.bulk import BulkPlan, BulkStep
from scim2_server.requests import ScimRequest
from scim2_server.responses import SCIM_MEDIA_TYPE, ScimResponse
from scim2_server.routing import Target
from scim2_server.service import BULK_OPERATIONS
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from database import Savepoint
from directory.directories import Directory
from directory.holding import hold
from directory.mappings import load_rules
from errors import DomainError
from scim.documents import StoredDocument
from scim.handler import DirectoryHandler
from scim.projection import Projection
from scim.service import DirectoryService
from scim.storage import DirectoryStorage, TranslatedErrors
from webhooks.events import deferred_events

log = logging.getLogger(__name__)

BULK_REQUEST = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
BULK_RESPONSE = "urn:ietf:params:scim:api:messages:2.0:BulkResponse"
METHODS = ("POST", "PUT", "PATCH", "DELETE")
# An operation that meets somebody else's at the same moment finds what that one did at its next try.
ATTEMPTS = 3
USER_ID = re.compile(r"\buser_[0-9A-Z]{26}\b")
ADDRESS = re.compile(r'"([^"\s@]+@[^"\s@]+)"')
GROUP_ID = re.compile(r"\bgrp_[0-9A-Z]{26}\b")
# What every reference to something that another operation creates begins with (RFC 7644 §3.7.2).
REFERENCE = "bulkId:"
# What a filter in a path compares with: members[value eq "bulkId:qwerty"].
REFERENCE_IN_PATH = re.compile(r'"bulkId:([^"\\]+)"')


@dataclass(frozen=True)
class BulkRequest:
    """A Bulk request that may be tried: its envelope is right, while its operations may still be wrong."""

    operations: list[dict[str, Any]]
    fail_on_errors: int | None


@dataclass
class OperationResult:
    """What became of one operation; ``warnings``, ``effects`` and ``data`` are for the activity log."""

    method: str | None
    path: str
    bulk_id: str | None
    status: int
    location: str | None = None
    version: str | None = None
    error: Error | None = None
    warnings: list[str] = field(default_factory=list)
    effects: list[dict[str, Any]] = field(default_factory=list)
    data: Any = None

    def to_json(self) -> dict[str, Any]:
        """Return the result as the answer lists it (RFC 7644 §3.7.3)."""
        answer = {
            "location": self.location,
            "method": self.method,
            "bulkId": self.bulk_id,
            "version": self.version,
            "status": str(self.status),
            "response": None if self.error is None else self.error.model_dump(),
        }
        return {name: value for name, value in answer.items() if value is not None}


@dataclass(frozen=True)
class Created:
    """All that the plan has to know of what an operation created."""

    id: str


class UnexpectedFailure(SCIMException):
    """An operation met a defect of ours; the others go on."""

    status = 500
    _default_detail = "Something went wrong on our side. This operation changed nothing."


@dataclass
class OperationRequest(ScimRequest):
    """An operation as the request that it stands for. Its data was decoded with the Bulk request."""

    data: Any = None


class OperationService(DirectoryService):
    """Serves an operation, whose result tells where the resource is and its version, and leaves the rest out."""

    def payload_of(self, request: ScimRequest) -> Any:
        """Return the data of an operation."""
        assert isinstance(request, OperationRequest)
        return request.data


# -- The envelope ----------------------------------------------------------------


def read_bulk(service: DirectoryService, body: bytes, content_type: str | None) -> BulkRequest:
    """Return the Bulk request of a body.

    :raises InvalidSyntaxException: When it is none, or an operation is no object.
    :raises InvalidValueException: When ``failOnErrors`` is no number of errors.
    :raises PayloadTooLargeException: When it is larger than what is announced (RFC 7644 §3.7.4).
    """
    service.ensure_bulk_payload_size(len(body))
    payload = service.decode_body(body, content_type)
    if not isinstance(payload, dict):
        raise InvalidSyntaxException(detail="A Bulk request is a JSON object with schemas and Operations.")
    members = _lowered(payload)
    schemas = members.get("schemas")
    if not isinstance(schemas, list) or BULK_REQUEST not in schemas:
        raise InvalidSyntaxException(detail=f"The schemas of a Bulk request are [{BULK_REQUEST!r}].")
    operations = members.get("operations")
    if not isinstance(operations, list) or not all(isinstance(operation, dict) for operation in operations):
        raise InvalidSyntaxException(detail="Operations must be a list of objects.")
    most = service.config.bulk.max_operations if service.config.bulk else 0
    if len(operations) > (most or 0):
        raise PayloadTooLargeException(
            detail=f"The request has {len(operations)} operations. At most {most} are accepted (maxOperations)."
        )
    return BulkRequest([_lowered(operation) for operation in operations], _fail_on_errors(members))


def _lowered(members: dict[str, Any]) -> dict[str, Any]:
    """Return the members of an object by their names in lower case: attribute names ignore case (RFC 7643 §2.1)."""
    return {name.lower(): value for name, value in members.items()}


def _fail_on_errors(members: dict[str, Any]) -> int | None:
    value = members.get("failonerrors")
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidValueException(detail="failOnErrors must be a whole number of errors, 1 or more.")
    return value


@dataclass(frozen=True)
class SentOperation:
    """An operation of a request as the library's plan reads it. A model would have to judge it, ten times as slowly."""

    method: str | None
    path: str | None
    bulk_id: str | None
    version: Any
    data: Any

    def model_copy(self, *, update: dict[str, Any]) -> "SentOperation":
        """Return the operation with other values, as a model does."""
        return replace(self, **update)


def _operation_of(members: dict[str, Any]) -> BulkOperation[Resource[Any]]:
    """Return an operation as the plan reads it; what has a wrong type is left out, and refused when its turn comes."""
    texts = {name: members[name] for name in ("method", "path", "bulkid") if isinstance(members.get(name), str)}
    path = texts.get("path")
    if path is not None:  # as in the address of a request, slashes too many and parameters do no harm
        path = "/" + path.partition("?")[0].lstrip("/")
        path = re.sub(r"/{2,}", "/", path) if "//" in path else path
    method = texts.get("method", "").upper() or None
    operation: Any = SentOperation(method, path, texts.get("bulkid"), members.get("version"), members.get("data"))
    return cast("BulkOperation[Resource[Any]]", operation)


def _check(operation: BulkOperation[Resource[Any]]) -> None:
    """Refuse an operation that lacks what every operation needs (RFC 7644 §3.7).

    :raises InvalidSyntaxException: When something is missing, or of the wrong type.
    """
    if operation.method not in METHODS:
        raise InvalidSyntaxException(detail="The method of an operation is POST, PUT, PATCH or DELETE.")
    if operation.path is None:
        raise InvalidSyntaxException(detail="An operation needs a path, such as /Users.")
    if operation.method == "POST" and not operation.bulk_id:
        raise InvalidSyntaxException(detail="An operation with the method POST needs a bulkId.")
    if operation.method != "DELETE" and not isinstance(operation.data, dict):
        raise InvalidSyntaxException(detail=f"An operation with the method {operation.method} needs data, an object.")
    if not isinstance(operation.version, str | None):
        raise InvalidSyntaxException(detail="The version of an operation is a text, as meta.version has it.")


# -- The operations ----------------------------------------------------------------


class OperationPlan(BulkPlan):
    """The order of the operations, by their references: those in the paths of a PATCH as well."""

    @staticmethod
    def references(operation: BulkOperation[Resource[Any]]) -> list[str]:
        """Return the bulkIds that an operation references."""
        in_paths = [bulk_id for path in _paths_of(operation) for bulk_id in REFERENCE_IN_PATH.findall(path)]
        return [*BulkPlan.references(operation), *in_paths]

    def resolve(self, step: BulkStep) -> BulkOperation[Resource[Any]]:
        """Return the operation of a step with ids in place of its references.

        :raises SCIMException: When a referenced resource was not created.
        """
        operation = super().resolve(step)
        if any(map(REFERENCE_IN_PATH.search, _paths_of(operation))):
            operation = operation.model_copy(update={"data": self._with_ids_in_paths(operation.data)})
        return operation

    def _with_ids_in_paths(self, data: Any) -> Any:
        """Return the data of a PATCH whose paths name what was created."""
        if isinstance(data, list):
            return [self._with_ids_in_paths(item) for item in data]
        if not isinstance(data, dict):
            return data
        return {name: self._with_ids(name.lower(), item) for name, item in data.items()}

    def _with_ids(self, name: str, item: Any) -> Any:
        if name == "operations":
            return self._with_ids_in_paths(item)
        return REFERENCE_IN_PATH.sub(self._quoted_id, item) if name == "path" and isinstance(item, str) else item

    def _quoted_id(self, reference: re.Match[str]) -> str:
        created = self.created.get(reference[1])
        if created is None:
            raise ConflictException(detail=f"No resource was created with the bulkId {reference[1]}")
        return f'"{created.id}"'


def _paths_of(operation: BulkOperation[Resource[Any]]) -> list[str]:
    """Return the paths in the data of a PATCH."""
    data: Any = operation.data
    if operation.method != "PATCH" or not isinstance(data, dict):
        return []
    inner = _lowered(data).get("operations")
    entries = inner if isinstance(inner, list) else []
    paths = [_lowered(entry).get("path") for entry in entries if isinstance(entry, dict)]
    return [path for path in paths if isinstance(path, str)]


class PlainPlan(BulkPlan):
    """The order of operations that reference nothing, as they came; references are not looked for."""

    @staticmethod
    def references(operation: BulkOperation[Resource[Any]]) -> list[str]:  # noqa: ARG004
        """Return none."""
        return []

    def resolve(self, step: BulkStep) -> BulkOperation[Resource[Any]]:
        """Return the operation of a step; one that uses the bulkId of an earlier one is refused."""
        operation = self.operation(step)
        is_first = operation.method != "POST" or self.is_creation(step.index, operation.bulk_id)
        return operation if is_first else super().resolve(step)


class OperationHandler(DirectoryHandler):
    """Serves an operation, of whose answer only the headers are wanted."""

    def answer(
        self,
        status: HTTPStatus,
        document: StoredDocument,
        place: str,
        base_url: str,
        projection: Projection | None = None,  # noqa: ARG002
    ) -> ScimResponse:
        """Return the headers of the answer without its body."""
        return ScimResponse(status, None, {"ETag": document.etag, place: f"{base_url}/{document.path()}"})


class BulkRun:
    """Serves the operations of one Bulk request, each in a savepoint, in one transaction that the caller commits."""

    def __init__(self, service: OperationService, session: Session, directory: Directory, base_url: str) -> None:
        self.service = service
        self.session = session
        self.directory = directory
        self.base_url = base_url

    def run(self, bulk: BulkRequest) -> list[OperationResult]:
        """Return the results of the operations that were tried, in the order of the request.

        :raises OperationalError: When the database broke the transaction off.
        """
        text = json.dumps(bulk.operations)
        kind = OperationPlan if REFERENCE in text else PlainPlan
        plan = kind([_operation_of(members) for members in bulk.operations], bulk.fail_on_errors)
        self.hold_what_is_named(text)
        load_rules(self.session, self.directory)
        with deferred_events(self.session, self.directory.organization_id) as events:
            for step in plan:
                recorded = len(events)
                result = self.result_of(plan, step)
                if result.error is not None:
                    del events[recorded:]  # what was undone has not happened
                created: Any = Created((result.location or "").rpartition("/")[2])
                plan.record(step, {"status": result.status, "bulk_id": result.bulk_id, "result": result}, created)
        return [outcome["result"] for outcome in plan.outcomes()]

    def hold_what_is_named(self, operations: str) -> None:
        """Lock the resources and addresses that the operations name, as JSON text, before the first of them."""
        user_ids, group_ids, addresses = (set(kind.findall(operations)) for kind in (USER_ID, GROUP_ID, ADDRESS))
        hold(self.session, self.directory, user_ids, group_ids, addresses)

    def result_of(self, plan: BulkPlan, step: BulkStep) -> OperationResult:
        """Serve one operation, and return what became of it."""
        operation = plan.operation(step)
        path = operation.path or ""
        result = OperationResult(operation.method, path, operation.bulk_id, 0, data=operation.data)
        if operation.method != "POST":  # all but a failed creation have a location, even one that leads nowhere
            result.location = self.base_url + path
        try:
            _check(operation)
            target = self.target_of(operation)
            operation = plan.resolve(step)
            if operation.method != "POST":
                result.location, result.path = f"{self.base_url}{operation.path}", operation.path or ""
            if operation.path != path:  # it names what was created now
                target = self.target_of(operation)
            response = self.perform(operation, target, result)
        except SCIMException as refusal:
            result.error = refusal.to_error()
            result.status = refusal.status
        else:
            result.status = response.status.value
            result.version = response.headers.get("ETag")
            result.location = response.headers.get("Location", result.location)
        return result

    def target_of(self, operation: BulkOperation[Resource[Any]]) -> Target:
        """Return what an operation acts on: a resource, or the place of new ones (RFC 7644 §3.7).

        :raises SCIMException: When it is neither, as a request of its own would be refused.
        """
        target = self.service.match(ScimRequest(str(operation.method), self.base_url, operation.path or ""))
        if target.operation not in BULK_OPERATIONS.values():
            raise InvalidValueException(detail="An operation of a Bulk request is on a resource, or creates one.")
        return target

    def perform(self, operation: BulkOperation[Resource[Any]], target: Target, result: OperationResult) -> ScimResponse:
        """Serve an operation in a savepoint, so that one that fails changes nothing.

        :raises SCIMException: When it is refused, or fails.
        """
        directory = self.directory.noting(result.warnings, result.effects)
        storage = DirectoryStorage(self.service.provider, self.session, directory, is_shown=False)
        handler = OperationHandler(self.service, storage)
        request = self.request_of(operation)
        for _attempt in range(ATTEMPTS):
            result.warnings.clear()
            result.effects.clear()
            try:
                with TranslatedErrors(), Savepoint(self.session):
                    return handler.serve(request, target)
            except IntegrityError:
                continue  # somebody else was faster with the same; now it is there to be found
            except (SCIMException, OperationalError):
                raise
            except DomainError as error:
                raise InvalidValueException(detail=error.message) from error
            except Exception as error:
                log.exception("unexpected error in an operation of a Bulk request")
                raise UnexpectedFailure from error
            finally:
                # The next operation reads what it needs anew, as a request of its own would.
                if self.session.identity_map or self.session.new:
                    self.session.expunge_all()
        raise UniquenessException(detail="Another request changed the same at the same moment. Try again.")

    def request_of(self, operation: BulkOperation[Resource[Any]]) -> ScimRequest:
        """Return an operation as the request that it stands for."""
        headers = {"Content-Type": SCIM_MEDIA_TYPE}
        if operation.version:
            headers["If-Match"] = operation.version
        return OperationRequest(
            method=str(operation.method),
            base_url=self.base_url,
            path=operation.path or "",
            headers=headers,
            data=operation.data,
        )


def bulk_answer(results: Sequence[OperationResult]) -> ScimResponse:
    """Return the answer to a Bulk request (RFC 7644 §3.7.3)."""
    return ScimResponse(
        HTTPStatus.OK, {"schemas": [BULK_RESPONSE], "Operations": [result.to_json() for result in results]}
    )


def summary(results: Sequence[OperationResult], asked: int) -> str:
    """Return in a sentence what became of a Bulk request, for the activity log."""
    failed = sum(result.error is not None for result in results)
    text = f"Bulk: {len(results) - failed} of {asked} operations succeeded, {failed} failed."
    untried = asked - len(results)
    return f"{text} {untried} were not tried, since failOnErrors was reached." if untried else text
