"""``attributes`` and ``excludedAttributes`` on parsed documents (RFC 7644 §3.9), without a model."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from inspect import isclass
from typing import Any

from scim2_models import BaseModel, Resource, ResponseParameters, Returned

Document = dict[str, Any]


@dataclass(frozen=True)
class Declared:
    """What a schema says of an attribute: when it is returned, and its sub-attributes."""

    returned: Returned
    members: dict[str, "Declared"]


@cache
def declared_attributes(model: type[BaseModel]) -> dict[str, Declared]:
    """Return the declared attributes of a model by their names on the wire, extensions by their URN."""
    attributes = {}
    for name, info in model.model_fields.items():
        field_type = model.get_field_root_type(name)
        is_complex = isclass(field_type) and issubclass(field_type, BaseModel)
        members = declared_attributes(field_type) if is_complex else {}
        wire_name = info.serialization_alias or model._scim_name(name)
        attributes[str(wire_name)] = Declared(model.get_field_annotation(name, Returned), members)
    return attributes


DEFAULT = Declared(Returned.default, {})


class Projection:
    """What one request wants to see of each resource of a type.

    What no schema declares is returned by default, so it is chosen and left
    out by name like the rest.
    """

    def __init__(self, model: type[Resource[Any]], parameters: ResponseParameters[Any]) -> None:
        self.schema = str(getattr(model, "__schema__", ""))
        self.declared = declared_attributes(model)
        self.included = [str(path).lower() for path in parameters.attributes or []]
        self.excluded = {str(path).lower() for path in parameters.excluded_attributes or []}
        self.decided: dict[str, bool] = {}

    def shows(self, name: str) -> bool:
        """Tell whether an answer shows an attribute of the resource, or a part of it."""
        return self._keeps(f"{self.schema}:{name}", self.declared.get(name, DEFAULT).returned)

    def of(self, document: Document) -> Document:
        """Return what is wanted of a whole resource; ``schemas`` names those that are left."""
        chosen = self._object(document, self.declared, f"{self.schema}:")
        gone = {key for key in document if key.lower().startswith("urn:")} - chosen.keys()
        chosen["schemas"] = [urn for urn in document["schemas"] if urn not in gone]
        return chosen

    def _object(self, value: Document, declared: dict[str, Declared], prefix: str) -> Document:
        chosen = {}
        for name, item in value.items():
            attribute = declared.get(name, DEFAULT)
            is_extension = name.lower().startswith("urn:")
            urn = name if is_extension else prefix + name
            if self._keeps(urn, attribute.returned):
                kept = self._value(item, attribute.members, f"{urn}:" if is_extension else f"{urn}.")
                if kept is not None:
                    chosen[name] = kept
        return chosen

    def _value(self, value: Any, declared: dict[str, Declared], prefix: str) -> Any:
        """Return what is wanted of a value, or None when nothing of it is left."""
        if isinstance(value, dict):
            return self._object(value, declared, prefix) or None
        if isinstance(value, list):
            items = [self._value(item, declared, prefix) for item in value]
            return [item for item in items if item is not None] or None
        return value

    def _keeps(self, urn: str, returned: Returned) -> bool:
        decided = self.decided.get(urn)
        if decided is None:
            decided = self.decided[urn] = self._decide(urn.lower(), returned)
        return decided

    def _decide(self, urn: str, returned: Returned) -> bool:
        short = urn.rpartition(":")[2]
        if returned == Returned.never:
            return False
        if returned == Returned.always or short == "schemas":
            return True
        if returned == Returned.request:
            return any(_is_within(path, urn if ":" in path else short) for path in self.included)
        if self.included and not any(_touches(path, urn if ":" in path else short) for path in self.included):
            return False
        return short not in self.excluded and urn not in self.excluded


def _is_within(path: str, name: str) -> bool:
    """Tell whether a path is an attribute or a part of it."""
    return path == name or path.startswith((f"{name}.", f"{name}:"))


def _touches(path: str, name: str) -> bool:
    """Tell whether a path is an attribute, a part of it, or what it is a part of."""
    return _is_within(path, name) or name.startswith((f"{path}.", f"{path}:"))


def projection_of(model: type[Resource[Any]], parameters: ResponseParameters[Any] | None) -> Projection | None:
    """Return what a request wants to see; None when it wants everything."""
    if parameters is None or not (parameters.attributes or parameters.excluded_attributes):
        return None
    return Projection(model, parameters)


def shows_computed(projection: Projection | None, names: Sequence[str] = ("groups", "members")) -> bool:
    """Tell whether an answer shows the ``groups`` of a user or the ``members`` of a group."""
    return projection is None or any(name in projection.declared and projection.shows(name) for name in names)
