"""The published document of ``/v1`` (OpenAPI 3.1), written from the declared operations and from nothing else."""

import inspect
import re
from contextlib import nullcontext
from functools import cache
from typing import Any

from flask import current_app
from pydantic import TypeAdapter
from sqlalchemy.orm import Session

from blueprints.errors import ErrorsObject
from blueprints.management.operations import OPERATIONS, Operation, operation

JsonObject = dict[str, Any]

SCHEMAS = "#/components/schemas/"
# What is data in a schema, and no schema.
PLAIN = {"examples", "default", "enum", "const"}

DESCRIPTION = """\
What a product's backend asks and tells authn-scim. Authenticate with a secret key: `Authorization: Bearer sk_…`. \
A key is for one organization or for the whole environment, and reads only or writes as well.

Bodies are JSON; what is not declared is refused by name, and every problem of a request is told at once. \
Times are integer Unix milliseconds. Lists are paged by cursor. An error is \
`{"errors": [{"code", "message", "long_message", "meta"}], "trace_id"}`; `code` is stable, and the trace id \
is also in the header `X-Request-Id` of every answer and in the logs."""

REFUSALS = {
    400: "The request cannot be read: its body broke off, or its address holds a NUL character.",
    401: "There is no secret key, or one that is unknown, revoked or expired.",
    403: "The secret key does not open this call: it may only read, or it is for one organization.",
    404: "There is no such object, or it is another organization's: the two look the same.",
    409: "The answer to an earlier request with this `Idempotency-Key` is one that cannot be read any more.",
    413: "The body is larger than this server accepts.",
    415: "The body does not call itself JSON.",
    422: "The body or the query cannot be accepted; every problem is listed with its place.",
    429: "More requests than this secret key may make; `Retry-After` says in how many seconds to try again.",
    503: "The database did not answer in time. Nothing was changed; try again.",
}

HEADERS: JsonObject = {
    "X-Request-Id": {"description": "The trace id of this request.", "schema": {"type": "string"}},
    "Idempotent-Replayed": {
        "description": "`true` on the answer to a repetition.",
        "schema": {"type": "string", "const": "true"},
    },
    "ETag": {"description": "Tells whether the object changed.", "schema": {"type": "string"}},
}

PARAMETERS: JsonObject = {
    "Idempotency-Key": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "Makes a repetition safe: within 24 hours the same key gets the same answer, and nothing is "
        "done twice. Any text of 1 to 255 printable ASCII characters, such as a UUID; new for each thing to be done.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    },
    "If-Match": {
        "name": "If-Match",
        "in": "header",
        "description": "An `ETag`. The change is made only if the object is still that version.",
        "schema": {"type": "string", "pattern": '^(\\*|"[!#-~]*")$'},
    },
    "If-None-Match": {
        "name": "If-None-Match",
        "in": "header",
        "description": "An `ETag`. The answer is 304 as long as nothing changed.",
        "schema": {"type": "string", "pattern": '^"[!#-~]*"$'},
    },
}


@operation("read_openapi", "GET", "/openapi.json", tag="This document", public=True, transaction=nullcontext)
def read_document(_session: Session) -> JsonObject:
    """Return this document. It needs no secret key."""
    return document(current_app.config["PUBLIC_URL"])


@cache
def document(public_url: str) -> JsonObject:
    """Return the document of an installation."""
    schemas = _Schemas()
    paths: JsonObject = {}
    for declared in OPERATIONS.values():
        paths.setdefault(path_template(declared), {})[declared.method.lower()] = _operation(declared, schemas)
    error = {"application/json": {"schema": {"$ref": f"{SCHEMAS}Errors"}}}
    retry = {"Retry-After": {"description": "In seconds.", "schema": {"type": "integer"}}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "authn-scim management API",
            "version": "1",
            "summary": "Directory sync for a product's backend.",
            "description": DESCRIPTION,
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": public_url}],
        "security": [{"secretKey": []}],
        "tags": [{"name": tag} for tag in dict.fromkeys(declared.tag for declared in OPERATIONS.values())],
        "paths": paths,
        "components": {
            "securitySchemes": {"secretKey": {"type": "http", "scheme": "bearer", "description": "A secret key."}},
            "parameters": PARAMETERS,
            "headers": HEADERS,
            "responses": {
                str(status): {
                    "description": sentence,
                    "headers": {**_headers("X-Request-Id"), **(retry if status in (429, 503) else {})},
                    "content": error,
                }
                for status, sentence in REFUSALS.items()
            },
            "schemas": dict(sorted(schemas.components.items())),
        },
    }


def path_template(declared: Operation) -> str:
    """Return the path of an operation as OpenAPI writes it."""
    return "/v1" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", declared.path)


def refusals(declared: Operation) -> dict[int, str | None]:
    """Return the statuses with which an operation may refuse, each with a sentence of its own if it has one."""
    statuses: dict[int, str | None] = {400: None, 422: None, 503: None}
    if not declared.public:
        statuses |= {401: None, 429: None}
    if declared.changes:
        statuses[403] = None
    if declared.keeps_answers:
        statuses[409] = None
    if "<" in declared.path:
        statuses[404] = None
    if declared.body is not None:
        statuses |= {413: None, 415: None}
    return dict(sorted((statuses | declared.errors).items()))


def _operation(declared: Operation, schemas: "_Schemas") -> JsonObject:
    summary, rest = _first_sentence(_prose(declared.view.__doc__ or ""))
    needs = "Needs a secret key that may write." if declared.changes else ""
    needs = "Needs a secret key of the whole environment that may write." if declared.for_environment else needs
    described: JsonObject = {
        "operationId": declared.id,
        "tags": [declared.tag],
        "summary": summary,
        "description": "\n\n".join(part for part in (rest, needs) if part),
        "parameters": _parameters(declared, schemas),
    }
    if declared.body is not None and declared.body.model_fields:
        required = any(member.is_required() for member in declared.body.model_fields.values())
        schema = schemas.of(declared.body, "validation")
        described["requestBody"] = {"required": required, "content": {"application/json": {"schema": schema}}}
    if declared.public:
        described["security"] = []
    described["responses"] = _responses(declared, schemas)
    return described


def _first_sentence(text: str) -> tuple[str, str]:
    """Return the first sentence of a text, and the rest of it."""
    summary, _, rest = re.sub(r"(?<=\.)\s+", "\0", text, count=1).partition("\0")
    return summary, rest


def _parameters(declared: Operation, schemas: "_Schemas") -> list[JsonObject]:
    of_path = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": f"Id of the {name.removesuffix('_id').replace('_', ' ')}.",
            "schema": {"type": "string"},
        }
        for name in re.findall(r"<(?:\w+:)?(\w+)>", declared.path)
    ]
    query = schemas.inline(declared.query) if declared.query is not None else {}
    of_query = [
        {
            "name": name,
            "in": "query",
            "required": name in query.get("required", ()),
            "description": schema.pop("description", ""),
            "schema": schema,
        }
        for name, schema in ((name, _without_null(schema)) for name, schema in query.get("properties", {}).items())
    ]
    names = ["Idempotency-Key"] if declared.keeps_answers else []
    if declared.etag is not None:
        names += ["If-None-Match" if declared.method == "GET" else "If-Match"]
    return [*of_path, *of_query, *({"$ref": f"#/components/parameters/{name}"} for name in names)]


def _without_null(schema: JsonObject) -> JsonObject:
    """Return the schema of a query parameter, which is left out or there, and never null."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind.get("type") != "null"]
    rest = {name: value for name, value in schema.items() if name != "anyOf" and value is not None}
    return {**kinds[0], **rest} if len(kinds) == 1 else rest


def _responses(declared: Operation, schemas: "_Schemas") -> JsonObject:
    names = ["X-Request-Id"]
    names += ["Idempotent-Replayed"] if declared.keeps_answers else []
    names += ["ETag"] if declared.etag is not None else []
    success: JsonObject = {"description": "Done.", "headers": _headers(*names)}
    if declared.answer is not type(None):
        schema = schemas.of(declared.answer, "serialization")
        success["content"] = {"application/json": {"schema": schema}}
    responses = {str(declared.status): success}
    if declared.etag is not None and declared.method == "GET":
        responses["304"] = {"description": "Nothing changed since the version that `If-None-Match` names."}
    error = {"application/json": {"schema": schemas.of(ErrorsObject, "serialization")}}
    for status, sentence in refusals(declared).items():
        responses[str(status)] = (
            {"$ref": f"#/components/responses/{status}"}
            if sentence is None
            else {"description": sentence, "headers": _headers("X-Request-Id"), "content": error}
        )
    return responses


def _headers(*names: str) -> JsonObject:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


class _Schemas:
    """The schemas that the operations use, under the names of their types without ``Object``."""

    def __init__(self) -> None:
        self.components: JsonObject = {}

    def of(self, kind: Any, mode: Any) -> JsonObject:
        """Return the schema of a type, by reference where it has a name."""
        schema: JsonObject = TypeAdapter(kind).json_schema(mode=mode, ref_template=SCHEMAS + "{model}")
        for name, component in schema.pop("$defs", {}).items():
            self._add(_named(name), component)
        own = schema.get("title")
        if own is None or "properties" not in schema:
            return _tidied(schema)
        name = _page_name(kind) or _named(own)
        self._add(name, schema)
        return {"$ref": SCHEMAS + name}

    def inline(self, kind: Any) -> JsonObject:
        """Return the schema of a flat model itself."""
        return _tidied(TypeAdapter(kind).json_schema())

    def _add(self, name: str, component: JsonObject) -> None:
        tidied = _tidied(component)
        if self.components.setdefault(name, tidied) != tidied:
            raise ValueError(f"two different schemas are called {name}")


def _page_name(kind: Any) -> str | None:
    """Return the name of a page of objects, such as ``ScimTokenPage``."""
    arguments = getattr(kind, "__args__", ())
    return f"{_named(arguments[0].__name__)}Page" if arguments and hasattr(arguments[0], "__name__") else None


def _prose(text: str) -> str:
    """Return a docstring as Markdown, one line for each paragraph."""
    paragraphs = inspect.cleandoc(text).replace("``", "`").split("\n\n")
    return "\n\n".join(paragraph.replace("\n", " ") for paragraph in paragraphs)


def _named(name: str) -> str:
    return name.removesuffix("Object")


def _tidied(schema: Any) -> Any:
    """Return a schema without the titles that only repeat a name, and with references to the names used here."""
    if isinstance(schema, list):
        return [_tidied(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    tidied = {}
    for name, value in schema.items():
        if name == "title" and isinstance(value, str):
            continue
        if name == "$ref":
            tidied[name] = SCHEMAS + _named(value.removeprefix(SCHEMAS))
        elif name == "description" and isinstance(value, str):
            tidied[name] = _prose(value)
        else:
            tidied[name] = value if name in PLAIN else _tidied(value)
    return tidied
