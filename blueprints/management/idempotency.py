"""``Idempotency-Key``: a POST that is sent again is answered again, and not done again."""

import re
from dataclasses import dataclass

from flask import Response, current_app, request
from sqlalchemy.orm import Session

from blueprints.auth import require_key_holder
from blueprints.bodies import request_body
from database import db
from errors import DomainError, InvalidInput
from organizations.idempotency import Answer, Request, begin_request, find_answer, fingerprint_of, keep_answer

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
KEY = re.compile(r"[!-~]{1,255}")


@dataclass(frozen=True)
class Repeatable:
    """This request, if it may be a repetition of an earlier one."""

    asked: Request | None

    @classmethod
    def of_request(cls) -> "Repeatable":
        """Return this request with its idempotency key, if it has one.

        :raises InvalidInput: When the key is none.
        """
        key = request.headers.get(HEADER)
        if key is None:
            return cls(None)
        if not KEY.fullmatch(key):
            message = f"{HEADER} must be 1 to 255 printable ASCII characters without a space, such as a UUID."
            meta = {"param": HEADER, "in": "header"}
            raise InvalidInput([DomainError(message, code="invalid_value", meta=meta)])
        address = request.full_path.rstrip("?/")
        fingerprint = fingerprint_of(request.method, address, request_body())
        return cls(Request(require_key_holder().key_id, key, fingerprint))

    def find(self) -> Response | None:
        """Return the answer to the request that this one repeats, or None."""
        if self.asked is None:
            return None
        with db.reading() as session:
            return self._replayed(find_answer(session, current_app.extensions["secret_box"], self.asked))

    def begin(self, session: Session) -> Response | None:
        """Return the answer to the request that this one repeats; or None, and then no other one does it meanwhile."""
        if self.asked is None:
            return None
        return self._replayed(begin_request(session, current_app.extensions["secret_box"], self.asked))

    def keep(self, session: Session, response: Response) -> Response:
        """Keep this answer for repetitions, and return it."""
        if self.asked is not None:
            answer = Answer(response.status_code, response.get_data(as_text=True))
            keep_answer(session, current_app.extensions["secret_box"], self.asked, answer)
        return response

    @staticmethod
    def _replayed(answer: Answer | None) -> Response | None:
        if answer is None:
            return None
        headers = {REPLAYED: "true", "Cache-Control": "no-store"}
        return Response(answer.body, answer.status, headers, mimetype="application/json")
