"""The attribute mapping editor: what becomes of what the IdP sends, changed in a draft, tried, and saved.

Every step is an address of its own and works without JavaScript. What is
changed goes into a draft on the server, one for each author; nothing is used
before the draft is saved.
"""

import base64
import json
from dataclasses import replace
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from scim2_models import SCIMException
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from blueprints.profile.access import acting_visitor, may, needs, signed_in
from blueprints.profile.forms import ConfirmForm, printable
from blueprints.profile.mapping_forms import (
    JsonForm,
    RowForm,
    body_of,
    check_json,
    check_row,
    group_roles_form,
    row_form,
)
from database import db
from directory.destinations import ORGANIZATION_ROLE, PROFILE_FIELDS
from directory.mapping import compile_mapping, compile_stored_mapping
from directory.mapping_applications import application_object, find_application
from directory.mapping_drafts import Editing, change_draft, drop_draft, read_editing, save_draft
from directory.mapping_recipes import (
    RECIPES,
    find_recipe,
    group_role,
    is_group_role,
    with_entries,
    without_group_roles,
)
from directory.mapping_table import Row, find_problems, mapping_rows
from directory.mapping_tally import TalliedPage, Tally, tally_directory
from directory.mappings import find_mapping_override, replace_mapping
from directory.received import find_example_person, group_path, list_group_names, list_received_paths, standard_paths
from errors import InvalidInput, NotFound, VersionMismatch
from organizations.audit import record_act
from organizations.roles import PROVISIONING_MANAGE, PROVISIONING_READ, list_role_choices
from scim.bodies import decode

bp = Blueprint("attribute_mapping", __name__, url_prefix="/organization/directory-sync/mapping")

HERE = "profile.attribute_mapping.show_mapping"


def author_id() -> str:
    """Return whose draft is edited: a member's, or that of a setup link."""
    visitor = signed_in()
    return visitor.user_id or visitor.setup_link_id or visitor.session_id


def editing(session: Session) -> Editing:
    """Return what whoever is signed in is editing; who may not change the mapping sees what is saved."""
    found = read_editing(session, signed_in().organization_id, author_id())
    return found if may(PROVISIONING_MANAGE) else replace(found, mapping=found.saved, revision=0)


# -- The table ------------------------------------------------------------------------


@bp.get("")
@needs(PROVISIONING_READ, PROVISIONING_MANAGE)
def show_mapping() -> str:
    """Show the mapping as a table with an example, how far it is applied, and what can be done with it."""
    return _table()


def _table(problems: tuple[str, ...] = ()) -> str:
    organization_id = signed_in().organization_id
    user_name = printable(request.args.get("person"))[:200]
    with db.reading() as session:
        edited = editing(session)
        person = find_example_person(session, organization_id, user_name) if may(PROVISIONING_MANAGE) else None
        shown = {
            "editing": edited,
            "rows": mapping_rows(edited.mapping, person),
            "person": person.row.user_name if person else None,
            "application": application_object(find_application(session, organization_id)),
        }
    return render_template(
        "profile/mapping/table.html",
        **shown,
        asked_person=user_name,
        recipes=RECIPES,
        problems=problems,
        form=ConfirmForm(),
    )


@bp.get("/progress")
@needs(PROVISIONING_READ, PROVISIONING_MANAGE)
def show_progress() -> str:
    """Show how far the saved mapping is applied, on a page of its own that can be reloaded."""
    with db.reading() as session:
        application = application_object(find_application(session, signed_in().organization_id))
    return render_template("profile/mapping/progress.html", application=application, form=ConfirmForm())


@bp.post("/progress")
@needs(PROVISIONING_MANAGE)
def try_again() -> Response:
    """Have a mapping whose application failed applied again."""
    organization_id = signed_in().organization_id
    with db.unit_of_work() as session:
        override = find_mapping_override(session, organization_id)
        replace_mapping(session, organization_id, override.mapping if override else {})
    return redirect(url_for("profile.attribute_mapping.show_progress"), 303)


# -- One row ----------------------------------------------------------------------------


@bp.get("/row")
@needs(PROVISIONING_MANAGE)
def edit_row() -> str:
    """Show the form for one row: that of ``path``, or a new one."""
    path = printable(request.args.get("path"))
    with db.reading() as session:
        override = editing(session).mapping
        row = next((row for row in mapping_rows(override, None) if row.path == path), None)
        return _row_page(session, _filled(path, row), row)


def _filled(path: str, row: Row | None) -> RowForm:
    goals = row.goals if row else []
    values: dict[str, Any] = {"path": path, "nowhere": row is not None and not goals}
    for number, goal in enumerate(goals):
        readable = bool(goal.destination)
        values[f"destination_{number}"] = goal.destination if readable else goal.text
        values[f"expression_{number}"] = goal.expression or ""
    return row_form(len(goals) or 1, **values)


def _row_page(session: Session, form: RowForm, row: Row | None) -> str:
    received = list_received_paths(session, signed_in().organization_id)
    return render_template(
        "profile/mapping/row.html",
        form=form,
        row=row,
        former=row.path if row else "",
        paths=received or standard_paths(),
        received=bool(received),
        destinations=suggested_destinations(received),
    )


def suggested_destinations(paths: list[str]) -> list[str]:
    """Return the destinations, with a place in the metadata for each path of an extension that was received."""
    names = [path.rpartition(":")[2].replace(".value", "") for path in paths if path[:4].lower() == "urn:"]
    snake = ["".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name) for name in names]
    places = [f"public_metadata.{name.replace('.', '_')}" for name in snake if "[" not in name]
    return [*PROFILE_FIELDS, ORGANIZATION_ROLE, *dict.fromkeys(places)]


@bp.post("/row")
@needs(PROVISIONING_MANAGE)
def change_row() -> str | Response | tuple[str, int]:
    """Put a row into the draft, or show the form again: with its problems, or with one more destination."""
    former = printable(request.form.get("former"))
    typed = sum(name.startswith("destination_") for name in request.form)
    form = row_form(typed + ("more" in request.form))
    with db.reading() as session:
        override = editing(session).mapping
        row = next((row for row in mapping_rows(override, None) if row.path == former), None)
        if "more" in request.form:
            return _row_page(session, form, row)
        changed = check_row(form, override, former or None)
        if changed is None:
            return _row_page(session, form, row), 422
    _keep(changed)
    flash("The row is in your draft. Nothing changes for anybody before you save it.")
    return redirect(url_for(HERE), 303)


@bp.post("/row/remove")
@needs(PROVISIONING_MANAGE)
def remove_row() -> Response:
    """Take what the mapping says of a path out of the draft; a default path gets its default back."""
    path = printable(request.form.get("path"))

    def without(mapping: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in mapping.items() if key != path}

    with db.unit_of_work() as session:
        change_draft(session, signed_in().organization_id, author_id(), without)
    flash("The row is taken out of your draft. Nothing changes for anybody before you save it.")
    return redirect(url_for(HERE), 303)


def _keep(mapping: dict[str, Any]) -> None:
    """Write a mapping into the draft of whoever is signed in."""
    with db.unit_of_work() as session:
        change_draft(session, signed_in().organization_id, author_id(), lambda _: mapping)


# -- Recipes ------------------------------------------------------------------------------


@bp.post("/recipes/<key>")
@needs(PROVISIONING_MANAGE)
def add_recipe(key: str) -> Response | tuple[str, int]:
    """Put the entries of a recipe into the draft."""
    recipe = find_recipe(key)
    if recipe is None:
        raise NotFound("There is no such recipe.")
    with db.reading() as session:
        mapping = with_entries(editing(session).mapping, recipe.entries)
    problems = tuple(problem.long_message for problem in find_problems(mapping))
    if problems:
        return _table(problems), 422
    _keep(mapping)
    flash(f"“{recipe.title}” is in your draft. Look at the example, then preview who would change.")
    return redirect(url_for(HERE), 303)


@bp.get("/groups")
@needs(PROVISIONING_MANAGE)
def choose_group_roles() -> str:
    """Ask for the role of each group that was pushed."""
    with db.reading() as session:
        names = list_group_names(session, signed_in().organization_id)
        mapping = editing(session).mapping
        roles = list_role_choices(session)
    chosen = {name: mapping[group_path(name)] for name in names if is_group_role(mapping.get(group_path(name)))}
    by_value = {group_role(role.key): role.key for role in roles}
    form = group_roles_form(names, roles, {name: by_value.get(value, "") for name, value in chosen.items()})
    return render_template("profile/mapping/groups.html", form=form, names=names)


@bp.post("/groups")
@needs(PROVISIONING_MANAGE)
def set_group_roles() -> Response | tuple[str, int]:
    """Put the roles of groups into the draft."""
    with db.reading() as session:
        names = list_group_names(session, signed_in().organization_id)
        mapping = editing(session).mapping
        form = group_roles_form(names, list_role_choices(session), {})
    if form.validate():
        chosen = {name: role for name, role in form.chosen().items() if role}
        mapping = without_group_roles(mapping, names)
        mapping = with_entries(mapping, {group_path(name): group_role(role) for name, role in chosen.items()})
        problems = tuple(problem.long_message for problem in find_problems(mapping))
        if problems:
            return _table(problems), 422
        _keep(mapping)
        flash("The roles of the groups are in your draft. Preview who would change.")
        return redirect(url_for(HERE), 303)
    return render_template("profile/mapping/groups.html", form=form, names=names), 422


# -- As JSON --------------------------------------------------------------------------------


@bp.get("/json")
@needs(PROVISIONING_READ, PROVISIONING_MANAGE)
def show_json() -> str:
    """Show the mapping as the API takes it."""
    with db.reading() as session:
        body = body_of(editing(session).mapping)
    return render_template("profile/mapping/json.html", form=JsonForm(body=body), body=body)


@bp.post("/json")
@needs(PROVISIONING_MANAGE)
def change_json() -> Response | tuple[str, int]:
    """Make what was pasted the draft."""
    form = JsonForm()
    mapping = check_json(form)
    if mapping is None:
        return render_template("profile/mapping/json.html", form=form, body=None), 422
    _keep(mapping)
    flash("The JSON is your draft now. Nothing changes for anybody before you save it.")
    return redirect(url_for(HERE), 303)


# -- Trying, saving, throwing away --------------------------------------------------------------


@bp.get("/preview")
@needs(PROVISIONING_MANAGE)
def preview() -> str | Response:
    """Show who would change by the draft, in pages that go on counting."""
    after, before = _so_far(request.args.get("so_far"))
    with db.reading() as session:
        edited = editing(session)
        if not edited.is_draft or find_problems(edited.mapping):
            return redirect(url_for(HERE), 303)
        mapping = compile_mapping(edited.mapping)
        page = tally_directory(session, signed_in().organization_id, mapping, after=after, before=before)
    return render_template(
        "profile/mapping/preview.html",
        editing=edited,
        page=page,
        so_far=_encoded(page),
        is_first=before is None,
        form=ConfirmForm(),
    )


def _encoded(page: TalliedPage) -> str | None:
    """Return where the next page begins and what was counted so far, as ``_so_far`` reads it."""
    if page.last is None:
        return None
    text = json.dumps({"last": page.last, **page.tally.as_json()})
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def _so_far(raw: str | None) -> tuple[str | None, Tally | None]:
    """Return where a preview goes on; what none of its pages gave begins anew."""
    try:
        value = decode(base64.b64decode((raw or "") + "=" * (-len(raw or "") % 4), altchars="-_", validate=True))
        last, tally = value["last"], Tally.from_json(value)
    except (ValueError, KeyError, TypeError, SCIMException):
        return None, None
    return (last, tally) if isinstance(last, str) else (None, None)


@bp.post("/save")
@needs(PROVISIONING_MANAGE)
def save() -> str | Response | tuple[str, int]:
    """Make the draft the mapping of the organization, unless it or what is saved changed since the preview."""
    organization_id = signed_in().organization_id
    try:
        with db.unit_of_work() as session:
            before = read_editing(session, organization_id, author_id())
            saved = save_draft(
                session, organization_id, author_id(), revision=_number("revision"), version=_number("version")
            )
            if saved:
                _record(session, before.version + 1, before.differing_paths)
    except VersionMismatch as mismatch:
        return _conflict(mismatch)
    except InvalidInput as invalid:
        return _table(tuple(problem.long_message for problem in invalid.problems)), 422
    if not saved:
        return redirect(url_for(HERE), 303)
    flash("The mapping is saved. It counts for every call of the identity provider from now on.")
    return redirect(url_for("profile.attribute_mapping.show_progress"), 303)


def _record(session: Session, version: int, paths: list[str]) -> None:
    record_act(
        session,
        acting_visitor(),
        "scim_attribute_mapping.replaced",
        organization_id=signed_in().organization_id,
        target_type="scim_attribute_mapping",
        target_id=signed_in().organization_id,
        details={"version": version, "changed_paths": paths},
    )


def _number(name: str) -> int:
    """Return a number that one of our forms holds; -1, which no version is, for anything else."""
    text = request.form.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1


def _conflict(mismatch: VersionMismatch) -> tuple[str, int]:
    with db.reading() as session:
        edited = editing(session)
    return render_template("profile/mapping/conflict.html", mismatch=mismatch, editing=edited), 409


@bp.post("/discard")
@needs(PROVISIONING_MANAGE)
def discard() -> Response:
    """Throw the draft away."""
    with db.unit_of_work() as session:
        drop_draft(session, signed_in().organization_id, author_id())
    flash("Your draft is thrown away. The saved mapping stays as it is.")
    return redirect(url_for(HERE), 303)


@bp.get("/reset")
@needs(PROVISIONING_MANAGE)
def confirm_reset() -> str:
    """Say what going back to the defaults would do."""
    with db.reading() as session:
        edited = read_editing(session, signed_in().organization_id, author_id())
        page = tally_directory(session, signed_in().organization_id, compile_stored_mapping({}))
    return render_template("profile/mapping/reset.html", editing=edited, page=page, form=ConfirmForm())


@bp.post("/reset")
@needs(PROVISIONING_MANAGE)
def reset() -> Response | tuple[str, int]:
    """Go back to the defaults, unless somebody saved another mapping since the page was shown."""
    organization_id = signed_in().organization_id
    try:
        with db.unit_of_work() as session:
            edited = change_draft(session, organization_id, author_id(), lambda _: {})
            if edited.is_draft and save_draft(
                session, organization_id, author_id(), revision=edited.revision, version=_number("version")
            ):
                _record(session, edited.version + 1, list(edited.saved))
    except VersionMismatch as mismatch:
        return _conflict(mismatch)
    flash("The defaults are back. They count for every call of the identity provider from now on.")
    return redirect(url_for("profile.attribute_mapping.show_progress"), 303)
