"""Who is asking: the bearer of a SCIM token or of a secret key, found out once at the start of a request."""

import logging

from flask import request
from sqlalchemy.exc import OperationalError

from blueprints.arrivals import this_request
from blueprints.errors import trace_id
from clock import now_ms
from database import db
from directory.mappings import directory_is_off
from errors import NotAllowed, NotAuthenticated, NotFound
from organizations.audit import Actor
from organizations.scim_tokens import TokenHolder, find_token_holder, needs_last_used, note_last_used
from organizations.secret_keys import KeyHolder, Scope, find_key_holder, note_key_used

log = logging.getLogger(__name__)


def identify_bearer() -> None:
    """Look up the bearer of this request, before rate limits are counted under the bearer's name.

    It refuses nothing: a blueprint that needs a bearer says so with
    ``require_token_holder`` or ``require_key_holder``.
    """
    arrival = this_request()
    plaintext, face = bearer_credential(arrival.environ.get("HTTP_AUTHORIZATION")), arrival.blueprint
    if plaintext is None or face is None:
        return
    if face == "scim":
        # An identity provider sends several requests at once, all with the same token.
        arrival.token_holder = db.shared_reading(plaintext, lambda session: find_token_holder(session, plaintext))
    elif face.partition(".")[0] == "management":
        with db.reading() as session:
            arrival.key_holder = find_key_holder(session, plaintext)


def bearer_credential(header: str | None) -> str | None:
    """Return the credential of an ``Authorization: Bearer …`` header (RFC 6750 §2.1), or None when there is none.

    The scheme is compared without case (RFC 9110 §11.1).
    """
    scheme, _, credential = (header or "").partition(" ")
    credential = credential.strip()
    return credential if scheme.lower() == "bearer" and credential else None


def usable_token_holder() -> TokenHolder | None:
    """Return the holder of this request's SCIM token if the token may still be used."""
    holder = this_request().token_holder
    return holder if holder is not None and holder.is_usable(now_ms()) else None


def require_token_holder(now: int) -> TokenHolder:
    """Return the holder of this request's SCIM token, which may be used at a moment in Unix milliseconds.

    :raises NotAuthenticated: When there is no token, or an unknown, revoked or
        expired one. Only somebody who once held a token learns that it expired.
    """
    holder = this_request().token_holder
    if holder is None:
        raise NotAuthenticated(_missing_or_unknown(request.headers.get("Authorization")))
    if holder.revoked_at is not None:
        raise NotAuthenticated(
            "The SCIM token was revoked. Issue a new one in Directory sync and paste it into the IdP.",
            code="token_revoked",
        )
    if holder.is_expired(now):
        raise NotAuthenticated(
            "The SCIM token has expired. Issue a new one in Directory sync and paste it into the IdP.",
            code="token_expired",
        )
    return holder


def require_directory_on(holder: TokenHolder) -> None:
    """Let a request pass only if the directory of its token is switched on.

    :raises NotAllowed: When the organization switched it off.
    """
    if holder.directory_disabled_at is not None:
        raise directory_is_off()


def _missing_or_unknown(header: str | None) -> str:
    if not header:
        return "The Authorization header is missing. Send the SCIM token as: Authorization: Bearer <token>."
    if bearer_credential(header) is None:
        return "The Authorization header holds no Bearer token. Send the SCIM token as: Authorization: Bearer <token>."
    return "The SCIM token is not known. Check that it was copied whole, or issue a new one in Directory sync."


def note_token_use(holder: TokenHolder, now: int) -> None:
    """Keep ``last_used_at`` of a token true to the minute; a request that only reads does not fail for it."""
    if not needs_last_used(holder, now):
        return
    try:
        with db.unit_of_work() as session:
            note_last_used(session, holder, now)
    except OperationalError as error:
        log.warning("the use of token %s could not be noted: %s", holder.token_id, error.orig)


def usable_key_holder() -> KeyHolder | None:
    """Return the holder of this request's secret key if the key may still be used."""
    holder = this_request().key_holder
    return holder if holder is not None and holder.is_usable(now_ms()) else None


def require_key_holder() -> KeyHolder:
    """Return the holder of this request's secret key.

    :raises NotAuthenticated: When there is no key, or an unknown, revoked or expired one.
    """
    holder = this_request().key_holder
    if holder is None or not holder.is_usable(now_ms()):
        raise NotAuthenticated(
            "A valid secret key is needed.",
            long_message=_what_is_wrong_with_the_key(holder),
            code="secret_key_invalid",
        )
    return holder


def _what_is_wrong_with_the_key(holder: KeyHolder | None) -> str:
    if holder is None:
        return "Send a secret key of this installation as: Authorization: Bearer sk_…"
    what = "was revoked" if holder.revoked_at is not None else "has expired"
    return f"The secret key {holder.prefix}… {what}. Send one that is valid as: Authorization: Bearer sk_…"


def note_key_use() -> None:
    """Keep ``last_used_at`` of this request's secret key true to the minute; no request fails for it."""
    holder, now = require_key_holder(), now_ms()
    if not holder.needs_last_used(now):
        return
    try:
        with db.unit_of_work() as session:
            note_key_used(session, holder.key_id, now)
    except OperationalError as error:
        log.warning("the use of secret key %s could not be noted: %s", holder.key_id, error.orig)


def acting_key() -> Actor:
    """Return who an act of this management request is written down under: its secret key."""
    holder = require_key_holder()
    return Actor("secret_key", holder.key_id, f"{holder.name} ({holder.prefix}…)", trace_id())


def require_reach(organization_id: str) -> None:
    """Let a request pass only if its secret key opens the organization.

    :raises NotFound: Otherwise; the same answer as for an organization that is not there.
    """
    if not require_key_holder().may_reach(organization_id):
        raise NotFound("No such organization.", code="organization_not_found")


def require_scope(scope: Scope) -> None:
    """Let a request pass only if its secret key has a scope.

    :raises NotAllowed: When the key may only read.
    """
    if not require_key_holder().may(scope):
        raise NotAllowed(
            "This secret key may only read.",
            long_message="Use a secret key whose scope is write for this call.",
            code="secret_key_scope",
        )


def require_environment_key() -> None:
    """Let a request pass only if its secret key opens the whole environment.

    :raises NotAllowed: When the key is for one organization.
    """
    if require_key_holder().organization_id is not None:
        raise NotAllowed(
            "This secret key is for one organization.",
            long_message="Use a secret key of the whole environment for this call.",
            code="secret_key_scope",
        )
