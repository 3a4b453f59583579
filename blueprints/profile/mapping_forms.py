"""The forms of the attribute mapping editor, and how what was typed becomes an entry of a mapping."""

import json
from collections.abc import Sequence
from hashlib import md5
from typing import Any

from flask_wtf import FlaskForm
from scim2_models import SCIMException
from wtforms import BooleanField, Field, SelectField, StringField, TextAreaField
from wtforms.fields import SelectChoice

from blueprints.profile.forms import printable
from directory.mapping_rules import DEFAULT_DESTINATIONS, parse_value
from directory.mapping_table import find_problems
from directory.paths import parse_path
from directory.syntax import SyntaxProblem
from errors import DomainError
from organizations.roles import RoleChoice
from scim.bodies import decode

MOST_GOALS = 20


class RowForm(FlaskForm):
    """One row of a mapping: a path, and where what stands there goes. ``row_form`` adds the fields of each goal."""

    path = StringField(
        "SCIM path",
        description="What the identity provider calls it, such as name.givenName or groups[*].value.",
        filters=[printable],
    )
    nowhere = BooleanField("Leave it out", description="Nothing is taken from this path, also not by default.")

    def goals(self) -> list[tuple[StringField, StringField]]:
        """Return the fields of each goal: the destination, and the expression."""
        return [
            (self[name], self[name.replace("destination", "expression")])
            for name in self._fields
            if name.startswith("destination_")
        ]

    def entry(self) -> str | list[str] | None:
        """Return the value of the entry, as the API has it; None where nothing was typed."""
        if self.nowhere.data:
            return []
        values = [text for text in map(composed, self.goals()) if text]
        return values[0] if len(values) == 1 else values or None


def row_form(goals: int, **values: Any) -> RowForm:
    """Return a form for a row with so many goals."""
    fields: dict[str, Field] = {}
    for number in range(max(1, min(goals, MOST_GOALS))):
        fields[f"destination_{number}"] = StringField(
            "Goes to" if number == 0 else "And also to",
            description="A field of the person, organization_role, or public_metadata.<key>.",
            filters=[printable],
        )
        fields[f"expression_{number}"] = StringField(
            "Changed on the way",
            description='Liquid, such as {{ value | downcase }} or {{ value | replace: "admins", "org:admin" }}. '
            "Empty: as it was sent.",
            filters=[printable],
        )
    form: RowForm = type("RowForm", (RowForm,), fields)(**values)
    return form


def composed(goal: tuple[StringField, StringField]) -> str:
    """Return a goal as a value of a mapping: an expression, a destination, or the one followed by the other."""
    destination, expression = (field.data or "" for field in goal)
    if expression and "{{" not in expression and "{%" not in expression:
        expression = f"{{{{ {expression} }}}}"  # whoever leaves the braces out means them
    return f"{expression}.{destination}" if expression and destination else expression or destination


def check_row(form: RowForm, override: dict[str, Any], former: str | None) -> dict[str, Any] | None:
    """Return the mapping with the row of a form in it, or None with each problem at its field.

    :param former: The path of the row that is changed; None for a new one.
    """
    path, value = form.path.data, form.entry()
    if not path:
        form.path.errors = ["Enter a path."]
        return None
    if path != former and path in override:
        form.path.errors = ["There is a row for this path already. Change that one, or add a destination to it."]
        return None
    if value is None:
        form.goals()[0][0].errors = ["Enter where it goes, or leave the path out."]
        return None
    changed = replaced(override, former, path, value)
    own = [problem for problem in find_problems(changed) if problem.meta.get("key") in (path, None)]
    for problem in own:
        _show(form, problem)
    _check_split(form, path)
    return None if form.errors else changed


def replaced(override: dict[str, Any], former: str | None, path: str, value: str | list[str]) -> dict[str, Any]:
    """Return a mapping with one entry in the place of another, or at its end. What says the default is left out."""
    entries: list[tuple[str, Any]] = [(key, old) for key, old in override.items() if key not in (former, path)]
    position = list(override).index(former) if former in override else len(entries)
    if not _is_default(path, value):
        entries.insert(position, (path, value))
    return dict(entries)


def _is_default(path: str, value: str | list[str]) -> bool:
    try:
        default = DEFAULT_DESTINATIONS.get(parse_path(path).identity)
    except SyntaxProblem:
        return False
    return default is not None and value == default.name


def _show(form: RowForm, problem: DomainError) -> None:
    """Put a problem beside the field that it is about."""
    meta = problem.meta
    column = meta.get("column")
    if meta.get("place") != "value":
        _add(form.path, problem, column)
        return
    goals = [goal for goal in form.goals() if composed(goal)] or form.goals()
    goal = goals[min(meta.get("index", 0), len(goals) - 1)]
    destination, expression = goal
    if not expression.data:
        _add(destination, problem, column)
        return
    before = len(composed(goal)) - len(f".{destination.data}" if destination.data else "")
    added = composed((_Empty(), expression)).find(expression.data)  # the braces that were left out
    if column is not None and column > before and destination.data:
        _add(destination, problem, column - before - 1)
    else:
        _add(expression, problem, None if column is None else max(1, column - added))


class _Empty:
    """Stands for a field in which nothing was typed."""

    data = ""


def _add(field: Field, problem: DomainError, column: int | None) -> None:
    reason = problem.message.partition(": ")[2] if "key" in problem.meta else problem.message
    place = f"At character {column}: " if column is not None and column > 1 else ""
    field.errors = [*field.errors, f"{place}{reason}"]


def _check_split(form: RowForm, path: str) -> None:
    """Refuse an expression whose end would be read as a part of the destination."""
    for goal in form.goals():
        destination, expression = goal
        if form.errors or not (destination.data and expression.data):
            continue
        rules = parse_value(parse_path(path), composed(goal))
        if rules[0].destination.name != destination.data:
            expression.errors = ["The text after }} reads as a destination. Write it inside of the braces."]


# -- The mapping as JSON -------------------------------------------------------------


class JsonForm(FlaskForm):
    """The whole mapping as JSON, as the API takes it."""

    body = TextAreaField("Mapping as JSON", description="The body of PUT …/scim/attribute-mappings.")


def body_of(override: dict[str, Any]) -> str:
    """Return the body with which the API would replace a mapping."""
    return json.dumps({"mapping": override}, ensure_ascii=False, indent=2)


def check_json(form: JsonForm) -> dict[str, Any] | None:
    """Return the mapping of a body, or None with each problem at the field."""
    try:
        value = decode((form.body.data or "").encode("utf-8", "replace"))
    except SCIMException as error:
        form.body.errors = [(error.detail or "This is no JSON.").replace("The body", "This", 1)]
        return None
    if isinstance(value, dict) and set(value) == {"mapping"}:
        value = value["mapping"]
    form.body.errors = [problem.long_message for problem in find_problems(value)]
    return None if form.body.errors else value


# -- Groups to roles -----------------------------------------------------------------


class GroupRolesForm(FlaskForm):
    """Which role the people of each group get. ``group_roles_form`` adds a field for each group."""

    def chosen(self) -> dict[str, str]:
        """Return the role that was chosen for each group, empty for none."""
        fields = [field for name, field in self._fields.items() if name.startswith("role_")]
        return {field.label.text: field.data or "" for field in fields}


def group_roles_form(names: Sequence[str], roles: Sequence[RoleChoice], chosen: dict[str, str]) -> GroupRolesForm:
    """Return a form that asks for the role of each group; each is named by its own name, whatever else is pushed."""
    choices = [SelectChoice("", "No role of its own"), *(SelectChoice(role.key, role.name) for role in roles)]
    fields = {
        f"role_{md5(name.encode(), usedforsecurity=False).hexdigest()}": SelectField(
            name, choices=choices, default=chosen.get(name, "")
        )
        for name in names
    }
    form: GroupRolesForm = type("GroupRolesForm", (GroupRolesForm,), fields)()
    return form
