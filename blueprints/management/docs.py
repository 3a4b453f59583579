"""``/docs``: the published document as a page that needs no network, no script and no key."""

import json
import re
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, current_app, make_response, render_template
from markupsafe import Markup, escape

from blueprints.management.openapi import PARAMETERS, SCHEMAS, document

JsonObject = dict[str, Any]

bp = Blueprint("docs", __name__)

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'none'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
# Deeper than any object of this API; a schema that held itself would end there.
DEPTH = 4


@dataclass(frozen=True)
class Member:
    """One line of a table: a parameter, or a member of a body or an answer at its depth."""

    name: str
    depth: int
    kind: str
    required: bool
    description: str


@dataclass(frozen=True)
class ShownOperation:
    """An operation as the page shows it."""

    id: str
    method: str
    path: str
    summary: str
    paragraphs: list[str]
    parameters: list[Member]
    body: list[Member]
    status: str
    answer: list[Member]
    refusals: list[tuple[str, str]]
    curl: str


@bp.app_template_filter("code_spans")
def code_spans(text: str) -> Markup:
    """Return a text in which what stands between backticks is code."""
    parts = (f"<code>{escape(part)}</code>" if at % 2 else escape(part) for at, part in enumerate(text.split("`")))
    return Markup("".join(parts))  # noqa: S704  (each part is escaped)


@bp.get("/docs")
def show_docs() -> Response:
    """Show every operation by its tag: parameters, body, answers, and how curl calls it."""
    published = document(current_app.config["PUBLIC_URL"])
    page = _Page(published)
    response = make_response(
        render_template(
            "docs/api.html",
            info=published["info"],
            paragraphs=published["info"]["description"].split("\n\n"),
            server=published["servers"][0]["url"],
            tags=page.operations_by_tag(),
        )
    )
    response.headers.update(HEADERS)
    return response


class _Page:
    """Reads the document for the page."""

    def __init__(self, published: JsonObject) -> None:
        self.published = published
        self.schemas = published["components"]["schemas"]

    def operations_by_tag(self) -> dict[str, list[ShownOperation]]:
        shown: dict[str, list[ShownOperation]] = {tag["name"]: [] for tag in self.published["tags"]}
        for path, methods in self.published["paths"].items():
            for method, described in methods.items():
                shown[described["tags"][0]].append(self.operation(path, method.upper(), described))
        return shown

    def operation(self, path: str, method: str, described: JsonObject) -> ShownOperation:
        responses = described["responses"]
        status = next(iter(responses))
        body = described.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        answer = responses[status].get("content", {}).get("application/json", {}).get("schema")
        return ShownOperation(
            id=described["operationId"],
            method=method,
            path=path,
            summary=described["summary"],
            paragraphs=[text for text in described["description"].split("\n\n") if text],
            parameters=[self.parameter(one) for one in described["parameters"]],
            body=self.members(body) if body else [],
            status=status,
            answer=self.members(answer) if answer else [],
            refusals=[(code, self.refusal(one)) for code, one in responses.items() if code != status],
            curl=self.curl(path, method, body, public=described.get("security") == []),
        )

    def parameter(self, described: JsonObject) -> Member:
        if "$ref" in described:
            described = PARAMETERS[described["$ref"].rpartition("/")[2]]
        kind = f"{described['in']}, {self.kind(described['schema'])}"
        return Member(described["name"], 0, kind, described.get("required", False), described.get("description", ""))

    def refusal(self, described: JsonObject) -> str:
        if "$ref" in described:
            described = self.published["components"]["responses"][described["$ref"].rpartition("/")[2]]
        return str(described["description"])

    def resolved(self, schema: JsonObject) -> JsonObject:
        """Return the schema that is meant where there is a reference, or an alternative to null."""
        kinds = [kind for kind in schema.get("anyOf", ()) if kind.get("type") != "null"]
        if len(kinds) == 1:
            return self.resolved({**kinds[0], **{name: schema[name] for name in ("description",) if name in schema}})
        if "$ref" in schema:
            beside = {name: value for name, value in schema.items() if name != "$ref"}
            return {**self.schemas[schema["$ref"].removeprefix(SCHEMAS)], **beside}
        return schema

    def members(self, schema: JsonObject, depth: int = 0) -> list[Member]:
        """Return the members of an object, each followed by those of what it holds."""
        schema = self.resolved(schema)
        found = []
        for name, held in schema.get("properties", {}).items():
            required = name in schema.get("required", ())
            found.append(Member(name, depth, self.kind(held), required, self.resolved(held).get("description", "")))
            inner = self.resolved(held)
            inner = self.resolved(inner["items"]) if "items" in inner else inner
            if depth < DEPTH:
                found += self.members(inner, depth + 1)
        return found

    def kind(self, schema: JsonObject) -> str:
        """Return what a value is, in a few words."""
        nullable = any(kind.get("type") == "null" for kind in schema.get("anyOf", ()))
        plain = self.resolved(schema)
        if "const" in plain:
            words = json.dumps(plain["const"])
        elif "enum" in plain:
            words = " or ".join(json.dumps(value) for value in plain["enum"])
        elif plain.get("type") == "array":
            words = f"array of {self.kind(plain['items'])}"
        else:
            words = plain.get("type", "any")
        words += f" of at most {plain['maxLength']} characters" if "maxLength" in plain else ""
        words += f" from {plain['minimum']} to {plain['maximum']}" if "maximum" in plain else ""
        default = plain.get("default", schema.get("default"))
        words += f", {json.dumps(default)} unless given" if default is not None and "const" not in plain else ""
        return f"{words} or null" if nullable else words

    def curl(self, path: str, method: str, body: JsonObject | None, *, public: bool) -> str:
        """Return a line for a shell in which ids stand as variables, such as ``$ORGANIZATION_ID``."""
        address = re.sub(r"\{(\w+)\}", lambda name: f"${name[1].upper()}", path)
        server = self.published["servers"][0]["url"]
        lines = [f'curl {"" if method == "GET" else f"-X {method} "}"{server}{address}"']
        if not public:
            lines.append('-H "Authorization: Bearer $SECRET_KEY"')
        if body is not None:
            text = json.dumps(self.sample(body), ensure_ascii=False).replace("'", "'\\''")
            lines += ['-H "Content-Type: application/json"', f"-d '{text}'"]
        return " \\\n  ".join(lines)

    def sample(self, schema: JsonObject) -> Any:
        """Return a value that fits a schema: of an object the members that it needs."""
        schema = self.resolved(schema)
        if "examples" in schema:
            return schema["examples"][0]
        if "properties" in schema:
            needed = schema.get("required") or list(schema["properties"])[:1]
            return {name: self.sample(schema["properties"][name]) for name in needed}
        if "enum" in schema:
            return schema["enum"][0]
        return {"string": "…", "integer": 1767225600000, "boolean": True, "array": [], "object": {}}.get(schema["type"])
