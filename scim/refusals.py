"""What is wrong with a body, in the words of SCIM: attributes by their own names, and what to send instead."""

from typing import Any

from pydantic import ValidationError
from scim2_models import InvalidValueException, PatchOp, Resource, SCIMException
from scim2_server.service import scim_exception_of

# What a value must be, by the kind of the error.
WANTED = {
    "string_type": "must be a text",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "dict_type": "must be an object",
    "list_type": "must be an array",
    "missing": "is missing",
    "datetime_parsing": "must be a time, as in 2030-01-31T09:00:00Z",
    "datetime_from_date_parsing": "must be a time, as in 2030-01-31T09:00:00Z",
}


def refusal_of(error: ValidationError, place: str | None = None) -> SCIMException:
    """Return the refusal of a value that does not fit its attribute; ``place`` names it where the error cannot."""
    refusal = scim_exception_of(error)
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"].startswith("scim_"):
        return in_other_words(refusal)
    if not first["loc"]:
        return refusal
    path = place or scim_name(refusal.detail.rpartition(": ")[2])
    wanted = WANTED.get(first["type"]) or f"is not valid: {first['msg'].removeprefix('Value error, ').rstrip('.')}"
    return type(refusal)(detail=f"{path} {wanted}.")


def in_other_words(refusal: SCIMException) -> SCIMException:
    """Return a refusal of the library's own with what can be done about it."""
    detail = refusal.detail
    if detail.startswith("invalid syntax"):
        detail = (
            f"A path cannot be read: {detail}. "
            'Write an attribute, as in name.givenName or emails[type eq "work"].value.'
        )
    elif detail.startswith("required attribute"):
        detail = "A required attribute (userName of a user, displayName of a group) cannot be removed. Replace it."
    elif detail.endswith("is read-only"):
        detail = f"{detail}: only this server writes it. Leave the operation out."
    return type(refusal)(detail=detail)


def scim_name(name: str) -> str:
    """Return the name of a Python field as SCIM writes it: ``givenName`` for ``given_name``."""
    head, *rest = name.split("_")
    return "$ref" if name == "ref" else head + "".join(part[:1].upper() + part[1:] for part in rest)


def apply_patch(patch: "PatchOp[Any]", resource: Resource[Any]) -> bool:
    """Apply the operations of a PATCH to a resource, all of them or none; tell whether that changed anything.

    :raises SCIMException: When an operation cannot be applied; it names the attribute as the operation does.
    """
    try:
        return patch.patch(resource)
    except InvalidValueException as error:
        if not isinstance(error.__cause__, ValidationError):
            raise
        place = _place(_failing_operation(patch, resource), error.__cause__)
        raise refusal_of(error.__cause__, place) from error


def _failing_operation(patch: "PatchOp[Any]", resource: Resource[Any]) -> Any:
    """Return the operation that cannot be applied, after those before it."""
    copy = resource.model_copy(deep=True)
    for operation in patch.operations or []:
        try:
            patch.model_copy(update={"operations": [operation]}).patch(copy)
        except SCIMException:
            return operation
    raise AssertionError("an operation failed that does not fail alone")


def _place(operation: Any, error: ValidationError) -> str:
    """Return the attribute that an error is about, as the operation names it."""
    loc = error.errors(include_url=False)[0]["loc"]
    names = [f"[{part}]" if isinstance(part, int) else scim_name(part) for part in loc if "(" not in str(part)]
    if not names:  # it is about the resource as a whole, as after an operation on schemas
        return str(operation.path or "")
    name = "".join(part if part.startswith("[") else f".{part}" for part in names).lstrip(".")
    said = str(operation.path or "") or _key_of(operation.value, names[0])
    if not said or said.lower().endswith(names[0].lower()):
        return (said or names[0]) + name[len(names[0]) :]
    return f"{said}.{name}"


def _key_of(value: Any, name: str) -> str:
    """Return the key of a value without a path that leads to an attribute of a name, or nothing."""
    for key, item in value.items() if isinstance(value, dict) else ():
        if key.lower().endswith(name.lower()):
            return str(key)
        entries = item if isinstance(item, list) else [item]
        if any(isinstance(entry, dict) and name.lower() in map(str.lower, entry) for entry in entries):
            return str(key)
    return ""
