"""What a management request brings: its body and its query, each against a model, with every problem named at once."""

import base64
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Generic, TypeVar

from flask import request
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    ValidationInfo,
)
from pydantic_core import CoreSchema, core_schema
from scim2_models import SCIMException
from typing_extensions import TypedDict
from werkzeug.exceptions import UnsupportedMediaType

from blueprints.bodies import request_body
from errors import DomainError, InvalidInput
from organizations.validation import ADDRESS_LENGTH, NAME_LENGTH, address_problems, end_problems, text_problems
from scim.bodies import decode

ModelT = TypeVar("ModelT", bound=BaseModel)
T = TypeVar("T")

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
JSON_TYPE = re.compile(r"application/(json|[\w.+-]+\+json)")


# -- Models to declare bodies and queries with ------------------------------------


class Body(BaseModel):
    """A request body. Members that are not declared are refused by name."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Query(BaseModel):
    """The query of a request. Parameters that are not declared are refused by name."""

    model_config = ConfigDict(extra="forbid")


class Refused(ValueError):
    """What the domain says is wrong with one member of a body."""

    def __init__(self, problems: list[DomainError]) -> None:
        super().__init__(problems[0].message)
        self.problems = problems


# Says that a body is refused already, so that the domain will not judge it.
JUDGING = object()


@dataclass(frozen=True, eq=False)
class Judged:
    """The rule that the domain has for a member of a body, as far as the value alone tells whether it is kept.

    The domain applies it, together with what it knows besides. Here it is
    applied to a body that does not come so far, so that every problem is told.
    ``check`` returns the problems of a value; ``shape`` is what the published
    schema says of the rule.
    """

    check: Callable[[Any], list[DomainError]]
    shape: dict[str, Any] = field(default_factory=dict)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_after_validator_function(self._judge, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(core), **self.shape}

    def _judge(self, value: Any, info: ValidationInfo) -> Any:
        problems = self.check(value) if info.context is JUDGING else []
        if problems:
            raise Refused(problems)
        return value


def _whole_number(value: Any) -> Any:
    if isinstance(value, str) and not (value.isascii() and value.isdigit() and len(value) < 17):
        raise ValueError("must be a whole number")
    return value


def _yes_or_no(value: Any) -> Any:
    if isinstance(value, str) and value not in ("true", "false"):
        raise ValueError("must be true or false")
    return value


def _decode_cursor(raw: str | None) -> str | None:
    if not raw:
        return None
    try:
        after = base64.b64decode(raw + "=" * (-len(raw) % 4), altchars="-_", validate=True).decode("ascii")
    except ValueError:
        after = ""
    if not after.isprintable() or not after:
        raise ValueError("is none that a list of this API gave")
    return after


# A moment in Unix milliseconds, within the integers that JSON and every database hold exactly.
Milliseconds = Annotated[int, Field(ge=0, lt=2**53, description="In Unix milliseconds.")]
# The same in a query.
Since = Annotated[int, Field(ge=0, lt=2**53), BeforeValidator(_whole_number)]


# Texts of a body.
NAME = {"minLength": 1, "maxLength": NAME_LENGTH}
EmailAddress = Annotated[str, Judged(partial(address_problems, "email_address"), {"maxLength": ADDRESS_LENGTH})]
FirstName = Annotated[str, Judged(partial(text_problems, "first_name"), NAME)]
LastName = Annotated[str, Judged(partial(text_problems, "last_name"), NAME)]
# When something that is to be made ends.
End = Annotated[Milliseconds, Judged(end_problems)]

# In a query.
YesOrNo = Annotated[bool, BeforeValidator(_yes_or_no)]
Words = Annotated[str, Field(max_length=200, description="Words, each of which is found in a name or an address.")]
Force = Annotated[YesOrNo, Field(description="Do it also if nobody is left who can manage provisioning.")]


Limit = Annotated[
    int,
    Field(ge=1, description=f"How many objects to answer. More than {MAX_LIMIT} counts as {MAX_LIMIT}."),
    BeforeValidator(_whole_number),
    AfterValidator(lambda limit: min(limit, MAX_LIMIT)),
]


class PageQuery(Query):
    """Which page of a list is wanted. ``cursor`` is read as the place after which the page begins."""

    limit: Limit = DEFAULT_LIMIT
    cursor: Annotated[
        str | None,
        AfterValidator(_decode_cursor),
        Field(description="`meta.next_cursor` of the page before. Without it the first page is answered."),
    ] = None


# -- Reading ------------------------------------------------------------------------


def read_arguments(body: type[BaseModel] | None, query: type[BaseModel] | None) -> dict[str, BaseModel]:
    """Return the body and the query of this request, as far as a model for them is given.

    :raises InvalidInput: When one does not fit; every problem of both is listed with its place.
    :raises UnsupportedMediaType: When there is a body that does not call itself JSON.
    """
    problems: list[DomainError] = []
    arguments: dict[str, BaseModel] = {}
    payload = _payload() if body is not None else {}
    for name, model, given, place in (
        ("query", query or Query, _query(problems), _query_place),
        ("body", body, payload, body_place),
    ):
        if model is None:
            continue
        try:
            arguments[name] = model.model_validate(given)
        except ValidationError as error:
            problems += [_problem(item, place) for item in error.errors(include_url=False)]
    if problems:
        raise InvalidInput(problems + _judged(body, payload))
    return arguments


def _judged(body: type[BaseModel] | None, payload: Any) -> list[DomainError]:
    """Return what the domain would say of a body that is refused before."""
    try:
        if body is not None:
            body.model_validate(payload, context=JUDGING)
    except ValidationError as error:
        found = [item.get("ctx", {}).get("error") for item in error.errors(include_url=False)]
        return [problem for refused in found if isinstance(refused, Refused) for problem in refused.problems]
    return []


def _query(problems: list[DomainError]) -> dict[str, str]:
    for name, values in request.args.lists():
        if len(values) > 1:
            meta = {"param": name, "in": "query"}
            problems.append(DomainError(f"{name} is given more than once.", code="invalid_value", meta=meta))
    return request.args.to_dict()


def _payload() -> Any:
    body = request_body()
    if not body:
        return {}
    if not JSON_TYPE.fullmatch(request.mimetype):
        raise UnsupportedMediaType("The body has to be JSON, sent with the header: Content-Type: application/json.")
    try:
        payload = decode(body)
    except SCIMException as error:
        raise InvalidInput([DomainError(error.detail or "The body is not JSON.", code="invalid_json")]) from error
    if not isinstance(payload, dict):
        raise InvalidInput([DomainError("The body must be a JSON object.", code="invalid_json")])
    return payload


def _problem(item: Any, place: Callable[[tuple[Any, ...]], dict[str, str]]) -> DomainError:
    meta = place(item["loc"])
    name = meta["param"]
    if item["type"] == "extra_forbidden":
        what = "query parameter" if meta["in"] == "query" else "member of the body"
        return DomainError(f"{name!r} is no {what} here.", code="unknown_parameter", meta=meta)
    if item["type"] == "value_error":
        return DomainError(f"{name} {item['ctx']['error']}.", code="invalid_value", meta=meta)
    if item["type"] == "missing":
        return DomainError(f"{name} is missing.", code="invalid_value", meta=meta)
    return DomainError(f"{name}: {item['msg']}.", code="invalid_value", meta=meta)


def _query_place(path: tuple[Any, ...]) -> dict[str, str]:
    return {"param": str(path[0]), "in": "query"}


def body_place(path: Sequence[Any]) -> dict[str, str]:
    """Return how the place of a problem in the body is told, in ``meta``."""
    return {"param": ".".join(map(str, path)), "in": "body", "pointer": pointer(path)}


def pointer(path: Sequence[Any]) -> str:
    """Return the JSON pointer of a place (RFC 6901 §3)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def bad_parameter(name: str, message: str) -> InvalidInput:
    """Return the refusal of one parameter or member of this request."""
    return InvalidInput([DomainError(message, code="invalid_value", meta={"param": name})])


# -- Pages of lists -------------------------------------------------------------------


class PageMeta(TypedDict):
    """What is to be known of a page."""

    next_cursor: Annotated[str | None, Field(description="`cursor` of the next page; null on the last one.")]


class Page(TypedDict, Generic[T]):
    """One page of a list."""

    data: list[T]
    meta: PageMeta


def page(items: Sequence[ModelT | Any], limit: int, show: Callable[[Any], T], key: Callable[[Any], str]) -> Page[T]:
    """Return one page of a list; ``items`` holds one more than ``limit`` when there is a next page."""
    shown = items[:limit]
    following = key(shown[-1]) if len(items) > limit else None
    cursor = encode_cursor(following) if following else None
    return {"data": [show(item) for item in shown], "meta": {"next_cursor": cursor}}


def encode_cursor(following: str) -> str:
    """Return the cursor from which a ``PageQuery`` reads where the next page begins."""
    return base64.urlsafe_b64encode(following.encode()).rstrip(b"=").decode()
