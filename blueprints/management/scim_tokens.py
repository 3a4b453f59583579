"""SCIM tokens: what an organization's identity provider calls with."""

from typing import Annotated

from pydantic import Field
from sqlalchemy.orm import Session

from blueprints.management.operations import audit, operation
from blueprints.management.requests import NAME, Body, End, Judged, Page, PageQuery, page
from organizations.representations import (
    IssuedScimTokenObject,
    ScimTokenObject,
    issued_scim_token_object,
    scim_token_object,
)
from organizations.scim_tokens import (
    LONGEST_OVERLAP_SECONDS,
    get_scim_token,
    issue_scim_token,
    lifetime_from_now,
    list_scim_tokens,
    revoke_scim_token,
    rotate_scim_token,
    token_name_problems,
)

TOKENS = "/organizations/<organization_id>/scim/tokens"


class NewToken(Body):
    """The token to issue."""

    name: Annotated[str, Judged(token_name_problems, NAME), Field(examples=["Okta — Production"])]
    enterprise_connection_id: str | None = None
    expires_at: End | None = None


class Rotation(Body):
    """How to replace a token."""

    overlap_seconds: Annotated[
        int, Field(ge=0, le=LONGEST_OVERLAP_SECONDS, description="For how long the old token works on; 0 revokes it.")
    ] = 24 * 3600
    expires_at: Annotated[
        End | None,
        Field(description="Of the new token; null for never. Without it, it lives as long as the old one was to."),
    ] = None


@operation("list_scim_tokens", "GET", TOKENS, tag="SCIM tokens")
def list_tokens(session: Session, organization_id: str, query: PageQuery) -> Page[ScimTokenObject]:
    """List the tokens of an organization, newest first, by prefix; plaintexts are gone."""
    found = list_scim_tokens(session, organization_id, limit=query.limit + 1, after=query.cursor)
    return page(found, query.limit, scim_token_object, lambda token: token.id)


@operation("issue_scim_token", "POST", TOKENS, tag="SCIM tokens", status=201)
def issue(session: Session, organization_id: str, body: NewToken) -> IssuedScimTokenObject:
    """Issue a token. This answer is the only one that holds its plaintext."""
    token, plaintext = issue_scim_token(
        session,
        organization_id,
        body.name,
        enterprise_connection_id=body.enterprise_connection_id,
        expires_at=body.expires_at,
    )
    audit(session, "scim_token.issued", scim_token_object(token), prefix=token.prefix)
    return issued_scim_token_object(token, plaintext)


@operation("read_scim_token", "GET", f"{TOKENS}/<token_id>", tag="SCIM tokens")
def read(session: Session, organization_id: str, token_id: str) -> ScimTokenObject:
    """Return one token."""
    return scim_token_object(get_scim_token(session, organization_id, token_id))


@operation(
    "rotate_scim_token",
    "POST",
    f"{TOKENS}/<token_id>/rotate",
    tag="SCIM tokens",
    status=201,
    errors={409: "The token has ended, or was rotated already."},
)
def rotate(session: Session, organization_id: str, token_id: str, body: Rotation) -> IssuedScimTokenObject:
    """Issue a token in the place of this one, which expires when the overlap is over.

    This answer is the only one that holds the plaintext of the new token.
    """
    expires_at = body.expires_at
    if "expires_at" not in body.model_fields_set:
        expires_at = lifetime_from_now(get_scim_token(session, organization_id, token_id))
    token, plaintext = rotate_scim_token(
        session, organization_id, token_id, overlap_seconds=body.overlap_seconds, expires_at=expires_at
    )
    shown = scim_token_object(token)
    audit(session, "scim_token.rotated", shown, prefix=token.prefix, replaces=token_id)
    return issued_scim_token_object(token, plaintext)


@operation("revoke_scim_token", "POST", f"{TOKENS}/<token_id>/revoke", tag="SCIM tokens")
def revoke(session: Session, organization_id: str, token_id: str) -> ScimTokenObject:
    """End a token at once, and return it."""
    shown = scim_token_object(revoke_scim_token(session, organization_id, token_id))
    audit(session, "scim_token.revoked", shown, prefix=shown["prefix"])
    return shown
