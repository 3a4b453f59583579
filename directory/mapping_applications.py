"""How far an attribute mapping is on its way to everybody: one row for each version.

One worker at a time applies it. It claims the row for some seconds and renews
the claim with each batch; a claim left behind by a process that died runs out
by itself. A newer version supersedes an unfinished one.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field
from sqlalchemy import ColumnElement, and_, func, literal_column, or_, select, update
from sqlalchemy.orm import Session
from typing_extensions import TypedDict

from clock import now_ms
from directory.activity import Call, Outcome, record_activity
from directory.directories import Directory
from ids import new_id
from models import DirectoryUser, MappingApplication
from webhooks.representations import Moment

PENDING, RUNNING, DONE, FAILED, SUPERSEDED = "pending", "running", "done", "failed", "superseded"
# Longer than a batch takes, also one that waits for a writer.
CLAIM_MS = 10_000
# How many different warnings an application keeps; each is counted.
KEPT_NOTES = 19
# Under this key of ``session.info`` stand the organizations for which the transaction left something to apply.
DUE_APPLICATIONS = "due_mapping_applications"


def begin_application(session: Session, organization_id: str, version: int) -> None:
    """Note that a version of the mapping is to be applied to everybody; an unfinished one is superseded."""
    for unfinished in session.scalars(
        select(MappingApplication)
        .where(MappingApplication.organization_id == organization_id, _is_unfinished())
        .with_for_update()
    ):
        end_application(session, unfinished, SUPERSEDED)
    people = select(func.count()).where(
        DirectoryUser.organization_id == organization_id, DirectoryUser.deleted_at.is_(None)
    )
    now = now_ms()
    session.add(
        MappingApplication(
            organization_id=organization_id,
            version=version,
            state=PENDING,
            total=session.scalar(people) or 0,
            notes={},
            created_at=now,
            updated_at=now,
        )
    )
    session.flush()
    session.info.setdefault(DUE_APPLICATIONS, set()).add(organization_id)


def restart_failed_application(session: Session, organization_id: str) -> None:
    """Have the latest application go on from where it failed, if it did."""
    application = find_application(session, organization_id)
    if application is not None and application.state == FAILED:
        application.state, application.error, application.finished_at = PENDING, None, None
        application.updated_at = now_ms()
        session.flush()
        session.info.setdefault(DUE_APPLICATIONS, set()).add(organization_id)


def _is_unfinished() -> ColumnElement[bool]:
    # As text in the statement, where the partial index can be seen to fit.
    return MappingApplication.state.in_([literal_column(f"'{PENDING}'"), literal_column(f"'{RUNNING}'")])


def _is_unclaimed(now: int) -> ColumnElement[bool]:
    return or_(MappingApplication.claimed_until.is_(None), MappingApplication.claimed_until <= now)


def due_applications(session: Session, now: int | None = None) -> Sequence[str]:
    """Return the organizations whose mapping is to be applied and nobody is at it."""
    due = and_(_is_unfinished(), _is_unclaimed(now_ms() if now is None else now))
    query = select(MappingApplication.organization_id).where(due)
    return session.scalars(query.order_by(MappingApplication.organization_id)).all()


def find_application(session: Session, organization_id: str) -> MappingApplication | None:
    """Return the latest application of an organization's mapping, or None when it always had the defaults."""
    query = select(MappingApplication).where(MappingApplication.organization_id == organization_id)
    return session.scalar(query.order_by(MappingApplication.version.desc()).limit(1))


# -- One worker at a time ---------------------------------------------------------


def claim_application(session: Session, organization_id: str, claimant: str) -> MappingApplication | None:
    """Take the unfinished application of an organization for one worker, if there is one and nobody has it."""
    now = now_ms()
    taken = (
        update(MappingApplication)
        .where(MappingApplication.organization_id == organization_id, _is_unfinished(), _is_unclaimed(now))
        .values(
            state=RUNNING,
            claimed_by=claimant,
            claimed_until=now + CLAIM_MS,
            started_at=func.coalesce(MappingApplication.started_at, now),
            updated_at=now,
        )
        .returning(MappingApplication)
    )
    return session.scalar(taken, execution_options={"synchronize_session": False, "populate_existing": True})


def renew_application(session: Session, organization_id: str, claimant: str) -> MappingApplication | None:
    """Prolong a claim and lock its row. None when it was superseded, or somebody else has it by now."""
    query = select(MappingApplication).where(
        MappingApplication.organization_id == organization_id,
        MappingApplication.claimed_by == claimant,
        _is_unfinished(),
    )
    application = session.scalar(query.with_for_update(), execution_options={"populate_existing": True})
    if application is not None:
        application.updated_at = now_ms()
        application.claimed_until = application.updated_at + CLAIM_MS
    return application


def release_application(session: Session, organization_id: str, claimant: str) -> None:
    """End a claim, so that another worker goes on at once."""
    application = renew_application(session, organization_id, claimant)
    if application is not None:
        application.claimed_by = application.claimed_until = None
        session.flush()
        session.info.setdefault(DUE_APPLICATIONS, set()).add(organization_id)


def end_application(session: Session, application: MappingApplication, state: str, error: str | None = None) -> None:
    """End an application, and write what its admin should know into the activity log."""
    now = now_ms()
    application.state, application.error = state, error
    application.finished_at = application.updated_at = now
    application.claimed_by = application.claimed_until = None
    if state == DONE:
        application.total = application.examined
    directory = Directory(application.organization_id, warnings=_sentences(application))
    if directory.warnings or error:
        path = f"/v1/organizations/{application.organization_id}/scim/attribute-mappings"
        status = 500 if state == FAILED else 200
        reason = "internal_error" if state == FAILED else None
        record_activity(session, directory, Call(new_id("req"), "PUT", path), Outcome(status, None, error, reason))
    session.flush()


# -- Warnings ---------------------------------------------------------------------


def note_warnings(application: MappingApplication, user_id: str, sentences: Sequence[str]) -> None:
    """Count what should be known about one person; each different sentence is kept with the first whom it is about."""
    if not sentences:
        return
    notes = dict(application.notes)
    for sentence in dict.fromkeys(sentences):
        note = notes.get(sentence)
        if note is None and len(notes) >= KEPT_NOTES:
            continue
        people = 1 if note is None else note["people"] + 1
        notes[sentence] = {"people": people, "first_user_id": user_id if note is None else note["first_user_id"]}
    application.notes = notes
    application.warned += 1


def _sentences(application: MappingApplication) -> list[str]:
    """Return the warnings for the activity log."""
    return [
        f"Applying version {application.version} of the attribute mapping: {sentence} "
        f"({note['people']} people, first {note['first_user_id']})"
        for sentence, note in application.notes.items()
    ]


class MappingWarningObject(TypedDict):
    """A warning, with how many people it is about and the first of them."""

    message: str
    people: int
    first_user_id: str


class MappingApplicationObject(TypedDict):
    """How far one version of a mapping is on its way to everybody."""

    object: Literal["scim_attribute_mapping_application"]
    version: int
    state: Annotated[str, Field(json_schema_extra={"enum": [PENDING, RUNNING, DONE, FAILED, SUPERSEDED]})]
    total: Annotated[int, Field(description="How many people there are to look at.")]
    examined: int
    changed: int
    warned: int
    warnings: list[MappingWarningObject]
    error: str | None
    created_at: Moment
    started_at: Moment | None
    updated_at: Moment
    finished_at: Moment | None


def application_object(application: MappingApplication | None) -> MappingApplicationObject | None:
    """Return how far a mapping is applied, as the JSON API shows it; times in Unix milliseconds."""
    if application is None:
        return None
    return {
        "object": "scim_attribute_mapping_application",
        "version": application.version,
        "state": application.state,
        "total": max(application.total, application.examined),
        "examined": application.examined,
        "changed": application.changed,
        "warned": application.warned,
        "warnings": [
            {"message": sentence, "people": note["people"], "first_user_id": note["first_user_id"]}
            for sentence, note in application.notes.items()
        ],
        "error": application.error,
        "created_at": application.created_at,
        "started_at": application.started_at,
        "updated_at": application.updated_at,
        "finished_at": application.finished_at,
    }
