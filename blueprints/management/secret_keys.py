"""Secret keys: what this API is called with."""

from typing import Annotated

from pydantic import Field
from sqlalchemy.orm import Session

from blueprints.auth import require_key_holder, require_reach
from blueprints.management.operations import audit, operation, own_organization
from blueprints.management.requests import NAME, Body, End, Judged, Page, PageQuery, page
from organizations.organizations import get_organization
from organizations.representations import (
    IssuedSecretKeyObject,
    SecretKeyObject,
    issued_secret_key_object,
    secret_key_object,
)
from organizations.secret_keys import (
    Scope,
    get_secret_key,
    key_name_problems,
    list_secret_keys,
    make_secret_key,
    revoke_secret_key,
)

KEYS = "/secret-keys"


class SecretKeyQuery(PageQuery):
    """Which keys are wanted."""

    organization_id: Annotated[str | None, Field(description="Only those of one organization.")] = None


class NewSecretKey(Body):
    """The key to make. Without an organization it is for all that this key opens."""

    name: Annotated[str, Judged(key_name_problems, NAME), Field(examples=["Backend — Production"])]
    scope: Annotated[Scope, Field(description="`write` may read as well.")] = "write"
    organization_id: str | None = None
    expires_at: Annotated[End | None, Field(description="Without it the key ends when it is revoked.")] = None


@operation(
    "list_secret_keys",
    "GET",
    KEYS,
    tag="Secret keys",
    errors={404: "There is no organization of this id."},
)
def list_all(session: Session, query: SecretKeyQuery) -> Page[SecretKeyObject]:
    """List the secret keys by prefix, newest first; the keys themselves are gone.

    A key of one organization sees only those of its own.
    """
    if query.organization_id is not None:
        require_reach(query.organization_id)
    wanted = query.organization_id or own_organization()
    found = list_secret_keys(session, wanted, limit=query.limit + 1, before=query.cursor)
    return page(found, query.limit, secret_key_object, lambda key: key.id)


@operation(
    "create_secret_key",
    "POST",
    KEYS,
    tag="Secret keys",
    status=201,
    errors={404: "There is no organization of this id."},
)
def create(session: Session, body: NewSecretKey) -> IssuedSecretKeyObject:
    """Make a secret key. This answer is the only one that holds it.

    A key makes none that may do more than itself, reach further or last longer.
    """
    organization_id = own_organization() if body.organization_id is None else body.organization_id
    if organization_id is not None:
        require_reach(organization_id)
        get_organization(session, organization_id)
    key, plaintext = make_secret_key(
        session,
        body.name,
        organization_id=organization_id,
        scope=body.scope,
        expires_at=body.expires_at,
        maker=require_key_holder(),
    )
    audit(session, "secret_key.created", secret_key_object(key), prefix=key.prefix, scope=key.scope)
    return issued_secret_key_object(key, plaintext)


@operation("read_secret_key", "GET", f"{KEYS}/<secret_key_id>", tag="Secret keys")
def read(session: Session, secret_key_id: str) -> SecretKeyObject:
    """Return one secret key, by its prefix."""
    return secret_key_object(get_secret_key(session, secret_key_id, own_organization()))


@operation("revoke_secret_key", "POST", f"{KEYS}/<secret_key_id>/revoke", tag="Secret keys")
def revoke(session: Session, secret_key_id: str) -> SecretKeyObject:
    """End a secret key at once, and return it. A key may end itself."""
    shown = secret_key_object(revoke_secret_key(session, secret_key_id, own_organization()))
    audit(session, "secret_key.revoked", shown, prefix=shown["prefix"])
    return shown
