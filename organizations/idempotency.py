"""Answers kept for repetitions: a POST that is sent again under the same ``Idempotency-Key`` is not done again.

The answer is written in the transaction of the change, so it is there if and
only if the change is. Of two requests at once one writes the row; the other
waits at it, and finds the answer when the first has committed. It is sealed,
since it may hold a secret that is shown only once.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import delete, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from batches import Store, in_batches
from clock import now_ms
from errors import Conflict, DomainError, InvalidInput
from models import IdempotentAnswer
from webhooks.secrets import CannotOpen, SecretBox

KEPT_MS = 24 * 3600 * 1000
INSERT: dict[str, Callable[..., Any]] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


@dataclass(frozen=True)
class Request:
    """A request under an idempotency key; ``fingerprint`` tells whether another one asks for the same."""

    secret_key_id: str
    key: str
    fingerprint: str


@dataclass(frozen=True)
class Answer:
    """What was answered: the status and the text of the body."""

    status: int
    body: str


def fingerprint_of(method: str, address: str, body: bytes) -> str:
    """Return what two requests that ask for the same have in common (SHA-256, hexadecimal)."""
    return hashlib.sha256(b"\0".join((method.encode(), address.encode(), body))).hexdigest()


def find_answer(session: Session, box: SecretBox, request: Request) -> Answer | None:
    """Return what an earlier request under this key was answered, or None.

    :raises InvalidInput: When that request asked for something else.
    :raises Conflict: When the answer was sealed with a secret key that is not known any more.
    """
    kept = session.execute(
        select(IdempotentAnswer.fingerprint, IdempotentAnswer.status, IdempotentAnswer.sealed_body).where(
            IdempotentAnswer.secret_key_id == request.secret_key_id,
            IdempotentAnswer.key == request.key,
            IdempotentAnswer.created_at > now_ms() - KEPT_MS,
        )
    ).one_or_none()
    if kept is None:
        return None
    if kept.fingerprint != request.fingerprint:
        raise InvalidInput(
            [
                DomainError(
                    "This Idempotency-Key was used for another request.",
                    long_message="Use a new key for each thing to be done; the same one repeats a request unchanged.",
                    code="idempotency_key_reused",
                    meta={"param": "Idempotency-Key", "in": "header"},
                )
            ]
        )
    try:
        return Answer(kept.status, box.open(kept.sealed_body))
    except CannotOpen as error:
        raise Conflict(
            "The request was done, but its answer cannot be read any more.",
            long_message="SECRET_KEY was changed since then. Read what was made, or use a new Idempotency-Key.",
            code="idempotency_answer_unreadable",
        ) from error


def begin_request(session: Session, box: SecretBox, request: Request) -> Answer | None:
    """Claim a key for this transaction and return None, or return what was answered under it.

    It waits for another transaction that claimed the key, until that ends.

    :raises InvalidInput: When an earlier request under this key asked for something else.
    :raises Conflict: As ``find_answer``.
    """
    row = IdempotentAnswer
    own = (row.secret_key_id == request.secret_key_id, row.key == request.key)
    session.execute(delete(row).where(*own, row.created_at <= now_ms() - KEPT_MS))
    claim = (
        INSERT[session.get_bind().dialect.name](row)
        .values(
            secret_key_id=request.secret_key_id,
            key=request.key,
            fingerprint=request.fingerprint,
            status=0,
            sealed_body="",
            created_at=now_ms(),
        )
        .on_conflict_do_nothing()
        .returning(row.key)
    )
    claimed = session.execute(claim).one_or_none()
    return None if claimed is not None else find_answer(session, box, request)


def keep_answer(session: Session, box: SecretBox, request: Request, answer: Answer) -> None:
    """Keep the answer to a request whose key this transaction claimed."""
    session.execute(
        update(IdempotentAnswer)
        .where(IdempotentAnswer.secret_key_id == request.secret_key_id, IdempotentAnswer.key == request.key)
        .values(status=answer.status, sealed_body=box.seal(answer.body))
        .execution_options(synchronize_session=False)
    )


def remove_expired_answers(store: Store, now: int, *, pause: Callable[[float], bool] = lambda _: False) -> int:
    """Remove the answers that are kept no longer, and return how many."""
    until = now - KEPT_MS
    with store.reading() as session:  # spares the writers when there is nothing to do
        if session.scalar(select(IdempotentAnswer.key).where(IdempotentAnswer.created_at <= until).limit(1)) is None:
            return 0
    return in_batches(store, partial(_remove_answers, until=until), pause=pause)


def _remove_answers(session: Session, limit: int, *, until: int) -> int:
    place = tuple_(IdempotentAnswer.secret_key_id, IdempotentAnswer.key)
    old = (
        select(IdempotentAnswer.secret_key_id, IdempotentAnswer.key)
        .where(IdempotentAnswer.created_at <= until)
        .order_by(IdempotentAnswer.created_at)
        .limit(limit)
    )
    keys = [tuple(row) for row in session.execute(old)]
    session.execute(delete(IdempotentAnswer).where(place.in_(keys)), execution_options={"synchronize_session": False})
    return len(keys)
