"""Questions of units of work that wait for their turn, which those ask whose turn it is."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from prepared import RUNNER, Answers, Prepared, Runner

# Under this key of ``session.info`` stands what a unit of work that has not begun will ask first.
AHEAD = "asked_ahead"

Questions = Callable[[], Sequence[tuple[Prepared, Mapping[str, Any]]]]


class Ahead:
    """What a unit of work will ask first, and what it is about: the answers hold until somebody works on the same.

    :param about: All that it asks, or changes, belongs to this, or is changed by none of those that share its
        transaction.
    """

    def __init__(self, about: str, questions: Questions) -> None:
        self.about, self._questions = about, questions
        # What was asked of it, if anything was.
        self.answers: Answers | None = None

    def ask(self, runner: Runner) -> None:
        """Ask for it in a transaction: it travels with the next statement of which rows are wanted."""
        assert runner.ask is not None
        answers: Answers = {}
        for statement, values in self._questions():
            sql, bound, _ = statement.written(runner, values)
            answers[statement] = values, runner.ask(sql, bound(values))
        self.answers = answers


def ask_ahead(session: Session, about: str, questions: Questions) -> None:
    """Say what will be asked first, where the transaction has not begun: it may have to wait for that."""
    if RUNNER not in session.info:
        session.info[AHEAD] = Ahead(about, questions)
