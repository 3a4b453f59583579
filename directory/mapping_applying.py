"""Applying an attribute mapping to everybody in a directory, in batches that a killed worker can leave at any moment.

A batch looks at people in a snapshot, which keeps no writer waiting. Those who
would change are then locked, looked at again and written, in the transaction
that moves the cursor and records their events. So nobody is passed over, and
nobody's event is sent twice.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from database import Database
from directory.mapping import Mapped, Mapping
from directory.mapping_applications import (
    DONE,
    FAILED,
    claim_application,
    end_application,
    note_warnings,
    release_application,
    renew_application,
)
from directory.mapping_effects import decide, evaluate, write_effects
from directory.mapping_people import Neighbours, Person, lock_people, read_people
from directory.mappings import await_former_mapping, hold_suspension, load_mapping
from ids import new_id
from models import MappingApplication

log = logging.getLogger(__name__)

# People looked at in one snapshot, and people written in one transaction.
LOOKED_AT = 400
WRITTEN = 100
# After a transaction the others get as long as it took, up to this.
LONGEST_PAUSE = 0.05
WENT_WRONG = "Applying the mapping failed unexpectedly. The worker's log says why; PUT of the same mapping tries again."

Warnings = dict[str, tuple[str, ...]]


def apply_to_everybody(db: Database, organization_id: str, stopping: Callable[[], bool] = lambda: False) -> int:
    """Apply what is unfinished of an organization's mapping, and return how many people changed.

    It does nothing while another worker is at it. When ``stopping`` says so it
    ends after the batch that it is at, and leaves the rest to another worker.
    """
    claimant = new_id("apply")
    with db.unit_of_work() as session:
        await_former_mapping(session, organization_id)  # or people written by it might be passed over
        application = claim_application(session, organization_id, claimant)
        cursor = application.cursor if application else None
    if application is None:
        return 0
    try:
        return _go_on(db, organization_id, claimant, cursor, stopping)
    except OperationalError:
        raise  # the database was away; the claim runs out, and another worker goes on
    except Exception:
        log.exception("the attribute mapping of %s cannot be applied", organization_id)
        with db.unit_of_work() as session:
            # Locked before the application's row, as everywhere.
            load_mapping(session, organization_id, while_off=True)
            failed = renew_application(session, organization_id, claimant)
            if failed is not None:
                end_application(session, failed, FAILED, WENT_WRONG)
        return 0


def _go_on(db: Database, organization_id: str, claimant: str, cursor: str | None, stopping: Callable[[], bool]) -> int:
    """Do what is left of an application that was claimed, and return how many people changed."""
    with db.unit_of_work() as session:
        mapping = load_mapping(session, organization_id, while_off=True)
    # Should the mapping be replaced meanwhile, the claim is gone before anything is written.
    run = _Run(db, organization_id, claimant, mapping, cursor)
    while run.going and not stopping():
        run.batch()
    if run.going:
        with db.unit_of_work() as session:
            release_application(session, organization_id, claimant)
    return run.changed


@dataclass(frozen=True)
class _Batch:
    """Some people who were looked at: what would change, what was worth a warning, and with whom it ended."""

    last: str | None
    examined: int
    pending: dict[str, tuple[Person, Mapped]] = field(default_factory=dict)
    warnings: Warnings = field(default_factory=dict)


class _Run:
    """What one worker does of an application, from its claim on."""

    def __init__(self, db: Database, organization_id: str, claimant: str, mapping: Mapping, cursor: str | None) -> None:
        self.db, self.organization_id, self.claimant = db, organization_id, claimant
        self.mapping, self.cursor = mapping, cursor
        self.going, self.changed, self.ahead = True, 0, WRITTEN

    def batch(self) -> None:
        """Bring the next people up to the mapping; where that fails, one by one, and pass over whom it fails for."""
        batch = self._look(self.ahead)
        self.ahead = min(LOOKED_AT, 2 * self.ahead) if len(batch.pending) < WRITTEN else WRITTEN
        try:
            self._write(batch)
        except OperationalError:
            raise  # the database is away, or this transaction lost against another: nothing to do with the people
        except Exception:
            log.exception("a batch of the attribute mapping of %s failed; it is done one by one", self.organization_id)
            last = batch.last
            while self.going and (last is None or (self.cursor or "") < last):
                self._write_one()

    def _write_one(self) -> None:
        batch = self._look(1)
        try:
            self._write(batch)
        except OperationalError:
            raise
        except Exception:
            log.exception("the attribute mapping could not be applied to %s", batch.last)
            failed: Warnings = {
                batch.last or "": ("The person was left as before: applying the mapping failed unexpectedly.",)
            }
            self._write(_Batch(batch.last, batch.examined, warnings=failed))

    def _look(self, limit: int) -> _Batch:
        """Find out who would change, among the next people up to ``limit`` and of those at most a transaction full."""
        reads_groups = self.mapping.reads_groups
        with self.db.reading() as session:
            people = read_people(
                session, self.organization_id, after=self.cursor, limit=limit, with_groups=reads_groups
            )
            mapped = [evaluate(self.mapping, person) for person in people]
            effects = decide(session, people, mapped, Neighbours(self.organization_id))
            session.expunge_all()
        busy = [index for index, effect in enumerate(effects) if not effect.is_idle]
        if len(busy) > WRITTEN:
            effects = effects[: busy[WRITTEN - 1] + 1]
        return _Batch(
            last=effects[-1].user_id if effects else None,
            examined=len(effects),
            pending={e.user_id: (e.person, m) for e, m in zip(effects, mapped, strict=False) if not e.is_idle},
            warnings={effect.user_id: effect.warnings for effect in effects},
        )

    def _write(self, batch: _Batch) -> None:
        """Write who changes, their events, and how far the application is, in one transaction."""
        with self.db.unit_of_work() as session:
            began = time.monotonic()
            # Held before the application's row, as a new mapping does.
            load_mapping(session, self.organization_id, while_off=True)
            application = renew_application(session, self.organization_id, self.claimant)
            if application is None:  # superseded, or taken over
                self.going = False
                return
            changed = self._write_people(session, batch)
            self._advance(session, application, batch, changed)
        self.cursor = batch.last or self.cursor
        self.changed += changed
        time.sleep(min(time.monotonic() - began, LONGEST_PAUSE))

    def _write_people(self, session: Session, batch: _Batch) -> int:
        """Look again at those who would change, now that they cannot change otherwise, and write them."""
        if not batch.pending:
            return 0
        suspended = hold_suspension(session, self.organization_id)  # held before the people, as by who switches it
        people = lock_people(session, self.organization_id, list(batch.pending), with_groups=self.mapping.reads_groups)
        mapped = [self._mapped_again(person, *batch.pending[person.row.user_id]) for person in people]
        effects = decide(session, people, mapped, Neighbours(self.organization_id))
        batch.warnings.update({effect.user_id: effect.warnings for effect in effects})
        write_effects(
            session, self.organization_id, [effect for effect in effects if not effect.is_idle], suspended=suspended
        )
        return sum(1 for effect in effects if effect.changes)

    def _mapped_again(self, person: Person, seen: Person, mapped: Mapped) -> Mapped:
        """Return what the mapping makes of a person: the same as before, if the person's resource is."""
        same = (person.row.document, person.row.sent_groups, person.groups) == (
            seen.row.document,
            seen.row.sent_groups,
            seen.groups,
        )
        return mapped if same else evaluate(self.mapping, person)

    def _advance(self, session: Session, application: MappingApplication, batch: _Batch, changed: int) -> None:
        for user_id, sentences in batch.warnings.items():
            note_warnings(application, user_id, sentences)
        application.examined += batch.examined
        application.changed += changed
        application.cursor = batch.last or application.cursor
        if batch.last is None:
            self.going = False
            end_application(session, application, DONE)
        session.flush()
