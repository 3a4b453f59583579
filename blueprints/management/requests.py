"""Reading a management request: its JSON body against a model, and the page that it asks for."""

import base64
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from flask import request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from scim2_models import SCIMException

from blueprints.bodies import request_body
from errors import DomainError, InvalidInput
from scim.bodies import decode

ModelT = TypeVar("ModelT", bound=BaseModel)
T = TypeVar("T")

DEFAULT_LIMIT = 50
MAX_LIMIT = 200


# A moment in Unix milliseconds, within the integers that JSON and every database hold exactly.
Milliseconds = Annotated[int, Field(ge=0, lt=2**53)]


class Body(BaseModel):
    """A request body. Members that are not declared are refused by name."""

    model_config = ConfigDict(extra="forbid", strict=True)


def json_body(model: type[ModelT]) -> ModelT:
    """Return the JSON body of this request as a model.

    :raises InvalidInput: When it is no JSON, or does not fit; every problem is listed with its place.
    """
    body = request_body()
    try:
        payload = decode(body) if body else {}
    except SCIMException as error:
        raise InvalidInput([DomainError(error.detail or "The body is not JSON.", code="invalid_json")]) from error
    if not isinstance(payload, dict):
        raise InvalidInput([DomainError("The body must be a JSON object.", code="invalid_json")])
    try:
        return model.model_validate(payload)
    except ValidationError as error:
        raise InvalidInput([_problem(item) for item in error.errors()]) from error


def _problem(item: Any) -> DomainError:
    place = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        return DomainError(
            f"{place!r} is not a member of this request.", code="unknown_parameter", meta={"param": place}
        )
    return DomainError(f"{place}: {item['msg']}.", code="invalid_value", meta={"param": place})


def page_limit() -> int:
    """Return how many objects this request wants on a page: 50 unless it says, at most 200.

    :raises InvalidInput: When ``limit`` is no number from 1.
    """
    raw = request.args.get("limit", str(DEFAULT_LIMIT))
    if not raw.isascii() or not raw.isdigit() or len(raw) > 9 or int(raw) < 1:
        raise bad_parameter("limit", f"limit must be a number from 1 to {MAX_LIMIT}.")
    return min(int(raw), MAX_LIMIT)


def page_cursor() -> str | None:
    """Return where the page that this request wants begins: after the object of this id.

    :raises InvalidInput: When ``cursor`` is none that a list gave.
    """
    raw = request.args.get("cursor")
    if not raw:
        return None
    try:
        after = base64.b64decode(raw + "=" * (-len(raw) % 4), altchars="-_", validate=True).decode("ascii")
    except ValueError:
        after = ""
    if not after.isprintable() or not after:
        raise bad_parameter("cursor", "cursor is none that a list of this API gave.")
    return after


def bad_parameter(name: str, message: str) -> InvalidInput:
    """Return the refusal of one parameter or member of this request."""
    return InvalidInput([DomainError(message, code="invalid_value", meta={"param": name})])


def page(
    items: Sequence[T], limit: int, show: Callable[[T], dict[str, Any]], key: Callable[[T], str]
) -> dict[str, Any]:
    """Return one page of a list; ``items`` holds one more than ``limit`` when there is a next page."""
    shown = items[:limit]
    following = key(shown[-1]) if len(items) > limit else None
    cursor = encode_cursor(following) if following else None
    return {"data": [show(item) for item in shown], "meta": {"next_cursor": cursor}}


def encode_cursor(following: str) -> str:
    """Return the cursor from which ``page_cursor`` reads where the next page begins."""
    return base64.urlsafe_b64encode(following.encode()).rstrip(b"=").decode()
