"""The wizard: from choosing the identity provider to a test person who came, went and came back.

Each step has an address of its own. Where one stands follows from what is
stored and from what was seen of the IdP, so the wizard can be left at any time.
"""

import json
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from blueprints.profile.access import needs, opens, signed_in
from blueprints.profile.directory_sync import endpoint_url, record_token_act
from blueprints.profile.form_nonces import claim_nonce, new_nonce
from blueprints.profile.forms import ConfirmForm, IssueTokenForm
from blueprints.profile.providers import PROVIDERS, Provider
from clock import now_ms
from database import db
from directory.mapping_recipes import RECIPES
from directory.mappings import find_mapping_override
from directory.observation import (
    Connection,
    TrialPerson,
    find_trial_person,
    list_diagnoses,
    watch_connection,
)
from directory.remedies import remedy_for
from directory.setups import choose_provider, confirm_step, find_setup
from errors import NotFound
from organizations.roles import PROVISIONING_MANAGE
from organizations.scim_tokens import issue_scim_token

bp = Blueprint("wizard", __name__, url_prefix="/organization/directory-sync/setup")

STEPS = {
    "base-url": "Base URL",
    "token": "Token",
    "connect": "Connection",
    "mapping": "Attributes",
    "test-person": "Test person",
    "done": "Done",
}
# What somebody says is done; of the others it is seen.
CONFIRMED = ("base-url", "mapping", "test-person")
DAY_MS = 24 * 3600 * 1000
RECIPE = next(recipe for recipe in RECIPES if recipe.key == "group_admins")


@dataclass(frozen=True)
class Progress:
    """What was chosen and seen so far."""

    chosen: str | None
    started_at: int
    connection: Connection
    person: TrialPerson | None
    done: frozenset[str]

    @property
    def next_step(self) -> str:
        """The first step that is not done."""
        return next((step for step in STEPS if step not in self.done), "done")


def read_progress(session: Session) -> Progress:
    """Return how far the organization of whoever is signed in has come."""
    organization_id, now = signed_in().organization_id, now_ms()
    setup = find_setup(session, organization_id)
    connection = watch_connection(session, organization_id, now)
    started_at = setup.started_at if setup is not None else now - DAY_MS
    person = find_trial_person(session, organization_id, started_at)
    done = set(setup.confirmed_steps if setup is not None else ())
    if connection.usable_tokens:
        done.add("token")
    if connection.verdict == "connected":
        done |= {"base-url", "connect"}
    if find_mapping_override(session, organization_id) is not None:
        done.add("mapping")
    if person is not None and person.steps_seen == len(("assigned", "unassigned", "reassigned")):
        done.add("test-person")
    if done >= set(STEPS) - {"done"}:
        done.add("done")
    return Progress(setup.provider if setup else None, started_at, connection, person, frozenset(done))


@bp.get("")
@needs(PROVISIONING_MANAGE)
def choose() -> str:
    """Ask which identity provider the organization has."""
    with db.reading() as session:
        progress = read_progress(session)
    return render_template(
        "profile/wizard/choose.html",
        providers=PROVIDERS.values(),
        chosen=PROVIDERS.get(progress.chosen or ""),
        progress=progress,
        steps=STEPS,
        form=ConfirmForm(),
    )


@bp.post("")
@needs(PROVISIONING_MANAGE)
def take_choice() -> Response:
    """Keep which identity provider was chosen, and go to the step that is next."""
    provider = get_provider(request.form.get("provider", ""))
    with db.unit_of_work() as session:
        choose_provider(session, signed_in().organization_id, provider.slug)
        step = read_progress(session).next_step
    return redirect(url_for(".show_step", idp=provider.slug, step=step), 303)


@bp.get("/<idp>")
@needs(PROVISIONING_MANAGE)
def resume(idp: str) -> Response:
    """Go on where the setup stands."""
    provider = get_provider(idp)
    with db.reading() as session:
        step = read_progress(session).next_step
    return redirect(url_for(".show_step", idp=provider.slug, step=step), 303)


@bp.get("/<idp>/<step>")
@needs(PROVISIONING_MANAGE)
def show_step(idp: str, step: str) -> str:
    """Show one step."""
    get_step(step)
    return render_step(idp, step, form=ConfirmForm())


@bp.post("/<idp>/<step>")
@needs(PROVISIONING_MANAGE)
def leave_step(idp: str, step: str) -> Response:
    """Keep that somebody says a step is done, and go to the next one."""
    provider = get_provider(idp)
    names = list(STEPS)
    position = names.index(get_step(step))
    if step in CONFIRMED:
        with db.unit_of_work() as session:
            confirm_step(session, signed_in().organization_id, provider.slug, step)
    return redirect(url_for(".show_step", idp=provider.slug, step=names[min(position + 1, len(names) - 1)]), 303)


@bp.get("/<idp>/token")
@needs(PROVISIONING_MANAGE, fresh=True)
def show_token_step(idp: str) -> str:
    """Offer to issue a token for the identity provider."""
    provider = get_provider(idp)
    label = f"{provider.name if idp != 'other' else 'SCIM'} — Production"
    return render_step(idp, "token", form=IssueTokenForm(formdata=None, label=label, nonce=new_nonce()))


@bp.post("/<idp>/token")
@needs(PROVISIONING_MANAGE, fresh=True)
def issue_token(idp: str) -> str | tuple[str, int]:
    """Issue a token, and show its plaintext in this answer and never again."""
    form = IssueTokenForm()
    if not form.validate_on_submit():
        return render_step(idp, "token", form=form), 422
    if not form.nonce.data or not claim_nonce(signed_in().session_id, form.nonce.data):
        return render_template("profile/token_issued_before.html", label=form.label.data), 409
    provider, organization_id = get_provider(idp), signed_in().organization_id
    with db.unit_of_work() as session:
        choose_provider(session, organization_id, provider.slug)
        token, plaintext = issue_scim_token(session, organization_id, form.label.data, expires_at=form.expires_at())
        record_token_act(session, "issued", token)
        issued = {"name": token.name, "expires_at": token.expires_at, "plaintext": plaintext}
    return render_step(idp, "token", template="token_issued", issued=issued)


def render_step(idp: str, step: str, *, template: str | None = None, **more: Any) -> str:
    """Return the page of one step of one identity provider."""
    provider = get_provider(idp)
    now = now_ms()
    with db.reading() as session:
        progress = read_progress(session)
        diagnoses = {}
        if step in ("connect", "mapping", "test-person"):
            since = min(progress.started_at, now - DAY_MS)
            found = list_diagnoses(session, signed_in().organization_id, since)
            diagnoses = {diagnosis.key: diagnosis for diagnosis in found}
    refusal = progress.connection.refusal
    names = list(STEPS)
    position = names.index(step)
    return render_template(
        f"profile/wizard/{(template or step).replace('-', '_')}.html",
        provider=provider,
        step=step,
        steps=STEPS,
        position=position,
        previous=names[position - 1] if position else None,
        following=names[position + 1] if position + 1 < len(names) else None,
        progress=progress,
        connection=progress.connection,
        person=progress.person,
        remedy=remedy_for(refusal.reason) if refusal is not None else None,
        diagnoses=diagnoses,
        endpoint_url=endpoint_url(),
        recipe=RECIPE,
        recipe_json=json.dumps(RECIPE.entries),
        opens=opens,
        now=now,
        **more,
    )


def get_provider(slug: str) -> Provider:
    """Return an identity provider that the wizard knows.

    :raises NotFound: When it knows none of that name.
    """
    if slug not in PROVIDERS:
        raise NotFound("There is no guide for this identity provider.")
    return PROVIDERS[slug]


def get_step(step: str) -> str:
    """Return the name of a step.

    :raises NotFound: When there is no such step.
    """
    if step not in STEPS:
        raise NotFound("The setup has no such step.")
    return step
