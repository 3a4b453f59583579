"""How an operation of ``/v1`` is declared, and what is done around each one.

A view is a plain function, and its signature is the declaration::

    @operation("issue_scim_token", "POST", TOKENS, tag="SCIM tokens", status=201)
    def issue(session: Session, organization_id: str, body: NewToken) -> IssuedScimTokenObject:

``body`` and ``query`` are read against the models they are annotated with, the
annotation of the answer is published, and the rest of the parameters are those of
the path. ``openapi.py`` writes the published document from nothing but this.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, TypeVar, get_args, get_type_hints

from flask import Response, current_app, jsonify, request
from pydantic import BaseModel
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from blueprints.auth import (
    acting_key,
    note_key_use,
    require_environment_key,
    require_key_holder,
    require_reach,
    require_scope,
    usable_key_holder,
)
from blueprints.errors import is_deadlock
from blueprints.limits import limiter
from blueprints.management import bp
from blueprints.management.idempotency import Repeatable
from blueprints.management.requests import Body, body_place, read_arguments
from database import db
from errors import Conflict, DomainError, InvalidInput
from organizations.audit import record_act
from organizations.organizations import get_organization

# How often an operation is done, in all, that loses against another one at the same moment.
ATTEMPTS = 3

View = TypeVar("View", bound=Callable[..., Any])
Transaction = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Operation:
    """One method of one address: who may call it, what it takes, what it answers.

    ``errors`` are refusals that not every operation may answer with: status
    and sentence. A ``public`` one needs no secret key; one ``for_environment``
    takes a key of the whole environment, one that ``changes`` something a key
    that may write.

    ``prepare`` is called with the body before the transaction, since it may
    take long or use the network; the view gets what it returns as
    ``prepared``. ``etag`` gives the entity tag of an answer; If-None-Match is
    heeded then. ``limit`` is how often one key may call it for the same path,
    such as ``10 per minute``, besides what it may call in all.
    """

    id: str
    method: str
    path: str
    tag: str
    status: int
    view: Callable[..., Any]
    body: type[BaseModel] | None
    query: type[BaseModel] | None
    answer: Any
    public: bool = False
    for_environment: bool = False
    changes: bool = True
    transaction: Transaction = db.unit_of_work
    prepare: Callable[..., Any] | None = None
    etag: Callable[[Any], str] | None = None
    limit: str | None = None
    errors: dict[int, str] = field(default_factory=dict)

    @property
    def keeps_answers(self) -> bool:
        """Whether an answer is kept for a repetition with the same ``Idempotency-Key``."""
        return self.method == "POST" and self.changes


OPERATIONS: dict[str, Operation] = {}


def asked_operation() -> Operation | None:
    """Return the operation that this request asks for, or None when there is none at its address."""
    return OPERATIONS.get((request.endpoint or "").rpartition(".")[2])


def _own_limit() -> str | None:
    declared = asked_operation()
    return None if declared is None else declared.limit


# Of the blueprint and not of a view: the limits of a view are looked at after the key, and in place of those of all.
limiter.shared_limit(
    lambda: _own_limit() or current_app.config["API_RATE_LIMIT"],
    scope="management-operation",
    key_func=lambda: ":".join(
        (require_key_holder().key_id, request.endpoint or "", *(request.view_args or {}).values())
    ),
    exempt_when=lambda: usable_key_holder() is None or _own_limit() is None,
)(bp)


def operation(
    name: str,
    method: str,
    path: str,
    *,
    tag: str,
    status: int = 200,
    changes: bool | None = None,
    transaction: Transaction | None = None,
    **more: Any,
) -> Callable[[View], View]:
    """Declare an operation, under an id that is unique.

    The view gets the session of one transaction: of a unit of work when the
    operation changes something, else of one that only reads. An organization in
    the path is one that exists and that the secret key opens. What the view
    returns is answered as JSON; None as an empty answer.

    :param status: Of the answer when all went well.
    :param changes: Whether it takes a key that may write. Unless given: every method but GET.
    :param transaction: What the session comes from, where that does not follow from ``changes``.
    :param more: Of ``Operation``: ``errors``, ``public``, ``for_environment``, ``prepare``, ``etag``, ``limit``.
    """

    def declare(view: View) -> View:
        hints = get_type_hints(view, include_extras=True)
        changing = method != "GET" if changes is None else changes
        declared = Operation(
            name,
            method,
            path,
            tag,
            status,
            view,
            body=hints.get("body", Body if method in ("POST", "PUT", "PATCH") else None),
            query=hints.get("query"),
            answer=_published(hints["return"]),
            changes=changing,
            transaction=transaction or (db.unit_of_work if changing else db.reading),
            **more,
        )
        if name in OPERATIONS:
            raise ValueError(f"two operations are called {name}")
        OPERATIONS[name] = declared
        bp.add_url_rule(path, endpoint=name, view_func=_serving(declared), methods=[method])
        return view

    return declare


@bp.before_request
def authenticate() -> None:
    """Let only bearers of a usable secret key pass, except to what is public."""
    declared = asked_operation()
    if declared is None or not declared.public:
        require_key_holder()
        note_key_use()


def audit(session: Session, action: str, shown: Any, *, organization_id: str | None = None, **details: Any) -> None:
    """Write into the audit log what this request does to an object; every view that changes something calls it.

    :param action: The kind of object and what became of it, such as ``scim_token.issued``.
    :param shown: The object as it is answered.
    :param organization_id: Whom it is about, for an object that does not say so itself.
    :param details: What else is to be known; never a secret.
    """
    own = shown["id"] if shown["object"] == "organization" else shown.get("organization_id")
    named = {"name": shown["name"]} if "name" in shown else {}
    record_act(
        session,
        acting_key(),
        action,
        organization_id=organization_id or own,
        target_type=shown["object"],
        target_id=shown.get("id") or own,
        details={**named, **details},
    )


def own_organization() -> str | None:
    """Return the organization that this secret key is for, or None when it opens the whole environment."""
    return require_key_holder().organization_id


def _published(answer: Any) -> Any:
    """Return what an answer is said to be, of a view that may return a response which holds just that."""
    said = [kind for kind in get_args(answer) if kind is not Response]
    return said[0] if Response in get_args(answer) else answer


def _serving(declared: Operation) -> Callable[..., Response]:
    """Return the view function that Flask calls."""

    @wraps(declared.view)
    def serve(**path: str) -> Response:
        if not declared.public:
            _check_rights(declared, path.get("organization_id"))
        try:
            return _run(declared, path)
        except DomainError as refusal:
            raise _with_places(refusal, declared) from refusal

    return serve


def _check_rights(declared: Operation, organization_id: str | None) -> None:
    if organization_id is not None:
        require_reach(organization_id)
    if declared.changes:
        require_scope("write")
    if declared.for_environment:
        require_environment_key()


def _run(declared: Operation, path: dict[str, str]) -> Response:
    arguments: dict[str, Any] = {**path, **_wanted(declared, read_arguments(declared.body, declared.query))}
    repeatable = Repeatable.of_request() if declared.keeps_answers else Repeatable(None)
    if (replayed := repeatable.find()) is not None:
        return replayed
    if declared.prepare is not None:
        arguments["prepared"] = declared.prepare(arguments["body"])
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _in_transaction(declared, path, arguments, repeatable)
        except (Conflict, OperationalError) as failure:
            if attempt == ATTEMPTS or not _lost_to_another(failure):
                raise
    raise AssertionError("unreachable")


def _in_transaction(
    declared: Operation, path: dict[str, str], arguments: dict[str, Any], repeatable: Repeatable
) -> Response:
    with declared.transaction() as session:
        if (replayed := repeatable.begin(session)) is not None:
            return replayed
        if "organization_id" in path:
            get_organization(session, path["organization_id"])
        return repeatable.keep(session, _answer(declared, declared.view(session, **arguments)))


def _lost_to_another(failure: Conflict | OperationalError) -> bool:
    """Tell whether another transaction was in the way, so that this one, done again, finds what that one left."""
    return failure.constraint is not None if isinstance(failure, Conflict) else is_deadlock(failure)


def _wanted(declared: Operation, arguments: dict[str, BaseModel]) -> dict[str, BaseModel]:
    """Leave out the empty models against which an operation without a body or query of its own was checked."""
    return {name: model for name, model in arguments.items() if type(model) is getattr(declared, name) is not Body}


def _answer(declared: Operation, result: Any) -> Response:
    response = result if isinstance(result, Response) else _json(result)
    response.status_code = declared.status
    if declared.etag is not None:
        response.set_etag(declared.etag(result))
        response.make_conditional(request)
    if not declared.public:
        response.headers["Cache-Control"] = "no-store" if declared.etag is None else "private, no-cache"
    return response


def _json(result: Any) -> Response:
    return Response() if result is None else jsonify(result)


def _with_places(refusal: DomainError, declared: Operation) -> DomainError:
    """Tell of what the domain refused, such as ``domains.1``, where in the request it is."""
    members, parameters = (model.model_fields if model else {} for model in (declared.body, declared.query))
    for problem in refusal.problems if isinstance(refusal, InvalidInput) else [refusal]:
        path = str(problem.meta.get("param", "")).split(".")
        if "in" not in problem.meta and path[0] in members:
            problem.meta |= body_place(path)
        elif "in" not in problem.meta and path[0] in parameters:
            problem.meta |= {"in": "query"}
    return refusal
