"""Ready-made pieces of an attribute mapping, for what is asked for most."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from directory.known_attributes import ENTERPRISE_USER
from directory.received import group_path


@dataclass(frozen=True)
class Recipe:
    """Entries to add to a mapping, and what they do in words."""

    key: str
    title: str
    explanation: str
    entries: Mapping[str, str | Sequence[str]]


RECIPES = (
    Recipe(
        "department",
        "Department and employee number",
        "Hands both to the product, as public_metadata.department and public_metadata.employee_number.",
        {
            f"{ENTERPRISE_USER}:department": "public_metadata.department",
            f"{ENTERPRISE_USER}:employeeNumber": "public_metadata.employee_number",
        },
    ),
    Recipe(
        "title",
        "Job title",
        "Hands it to the product as public_metadata.title.",
        {"title": "public_metadata.title"},
    ),
    Recipe(
        "manager",
        "Manager",
        "Hands the manager's id to the product as public_metadata.manager_id.",
        {f"{ENTERPRISE_USER}:manager.value": "public_metadata.manager_id"},
    ),
    Recipe(
        "names",
        "First and last name from the display name",
        "For an identity provider that sends no name: the first word and the last one.",
        {
            "displayName": [
                '{{ value | strip | split: " " | first }}.first_name',
                '{{ value | strip | split: " " | last }}.last_name',
            ]
        },
    ),
    Recipe(
        "group_admins",
        "The group Admins gives the role org:admin",
        "Everybody else is a member. For one group or few; choose roles of groups for more.",
        {
            "groups[*].value": '{{ value | downcase | replace: "admins", "org:admin" '
            '| default: "org:member" }}.organization_role'
        },
    ),
    Recipe(
        "see_groups",
        "See which groups are sent",
        "Puts the names of a person's groups into public_metadata.groups, for as long as you look for a mistake.",
        {"groups[*].value": "public_metadata.groups"},
    ),
)


def find_recipe(key: str) -> Recipe | None:
    """Return a recipe, or None."""
    return next((recipe for recipe in RECIPES if recipe.key == key), None)


def with_entries(mapping: dict[str, Any], entries: Mapping[str, str | Sequence[str]]) -> dict[str, Any]:
    """Return a mapping with entries added to it; what it says of the same paths stays."""
    result = dict(mapping)
    for path, value in entries.items():
        added = [value] if isinstance(value, str) else list(value)
        before = result.get(path, [])
        there = list(before) if isinstance(before, list) else [before]
        values = there + [text for text in added if text not in there]
        result[path] = values[0] if len(values) == 1 else values
    return result


def without_group_roles(mapping: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return a mapping without the entries that give one of these groups a role, and nothing else."""
    ruled = {group_path(name) for name in names}
    return {path: value for path, value in mapping.items() if path not in ruled or not is_group_role(value)}


def is_group_role(value: Any) -> bool:
    """Tell whether a value gives a group one fixed role, as ``group_role`` writes it."""
    return isinstance(value, str) and value.startswith('{{ "') and value.endswith('" }}.organization_role')


def group_role(role_key: str) -> str:
    """Return the value that gives everybody in a group one role; it does not look at the group's name."""
    return f'{{{{ "{role_key}" }}}}.organization_role'
