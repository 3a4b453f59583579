"""The objects of the JSON API and of the events: plain dictionaries, times in Unix milliseconds, never a secret.

The types are what the published document says of the objects.
"""

from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypedDict

from models import (
    AdministrativeAct,
    AttributeMapping,
    EnterpriseConnection,
    Organization,
    OrganizationMembership,
    Role,
    ScimToken,
    SecretKey,
    User,
)
from webhooks.representations import Moment, ShownOnce

JsonObject = dict[str, Any]


class OrganizationObject(TypedDict):
    """A customer of the product."""

    id: str
    object: Literal["organization"]
    name: str
    created_at: Moment
    updated_at: Moment
    deleted_at: Moment | None


class UserObject(TypedDict):
    """A person, unique by e-mail address in the environment.

    Of somebody whom another organization's directory manages, an organization
    sees what its own directory says.
    """

    id: str
    object: Literal["user"]
    external_id: str | None
    email_address: str | None
    username: str | None
    first_name: str | None
    last_name: str | None
    public_metadata: JsonObject
    active: bool
    managed_by_organization_id: Annotated[
        str | None, Field(description="The organization whose directory alone writes the profile.")
    ]
    created_at: Moment
    updated_at: Moment
    deleted_at: Moment | None


class OrganizationMembershipObject(TypedDict):
    """The tie of a user to an organization, with one role."""

    id: str
    object: Literal["organization_membership"]
    organization_id: str
    user: UserObject
    role: Annotated[str, Field(description="Key of the role, such as `org:member`.")]
    permissions: list[str]
    role_source: Annotated[
        str,
        Field(description="What decided the role.", json_schema_extra={"enum": ["default", "mapping", "manual"]}),
    ]
    created_at: Moment
    updated_at: Moment
    deleted_at: Moment | None


class RoleObject(TypedDict):
    """A named set of permissions, the same in every organization of the environment."""

    id: str
    object: Literal["role"]
    key: Annotated[str, Field(description="Such as `org:member`.")]
    name: str
    permissions: list[str]
    is_default: Annotated[bool, Field(description="The role of people for whom nothing else is decided.")]
    created_at: Moment
    updated_at: Moment


class EnterpriseConnectionObject(TypedDict):
    """The SSO application that SCIM is layered on."""

    id: str
    object: Literal["enterprise_connection"]
    organization_id: str
    protocol: Annotated[str, Field(json_schema_extra={"enum": ["saml", "oidc"]})]
    name: str
    domains: list[str]
    enabled: bool
    created_at: Moment
    updated_at: Moment


class ScimTokenObject(TypedDict):
    """A bearer token of an identity provider. It alone decides the organization of a SCIM request."""

    id: str
    object: Literal["scim_token"]
    organization_id: str
    enterprise_connection_id: str | None
    name: str
    prefix: Annotated[str, Field(description="The first 13 characters of the token.")]
    created_at: Moment
    expires_at: Moment | None
    last_used_at: Annotated[int | None, Field(description="In Unix milliseconds, true to the minute.")]
    revoked_at: Moment | None
    replaced_by_id: Annotated[str | None, Field(description="The token that it was rotated to.")]


class IssuedScimTokenObject(ScimTokenObject):
    """A token that was just issued."""

    token: ShownOnce


class SecretKeyObject(TypedDict):
    """A key with which the product's backend calls this API."""

    id: str
    object: Literal["secret_key"]
    organization_id: Annotated[str | None, Field(description="What it opens; null for the whole environment.")]
    name: str
    scope: Annotated[str, Field(description="`write` may read as well.", json_schema_extra={"enum": ["read", "write"]})]
    prefix: Annotated[str, Field(description="The first 13 characters of the key.")]
    created_at: Moment
    expires_at: Moment | None
    last_used_at: Annotated[int | None, Field(description="In Unix milliseconds, true to the minute.")]
    revoked_at: Moment | None


class IssuedSecretKeyObject(SecretKeyObject):
    """A key that was just made."""

    secret: ShownOnce


class ScimAttributeMappingObject(TypedDict):
    """What an organization overrides of the default attribute mapping; empty where the defaults stand."""

    object: Literal["scim_attribute_mapping"]
    organization_id: str
    mapping: JsonObject
    updated_at: Moment | None


class ActorObject(TypedDict):
    """Who acted."""

    kind: Annotated[str, Field(json_schema_extra={"enum": ["secret_key", "member", "setup_link", "command"]})]
    id: Annotated[str | None, Field(description="Of the key, user or link; null for a command.")]
    label: Annotated[str, Field(description="What a person recognises, as it was then.")]


class AuditLogEntryObject(TypedDict):
    """One administrative act."""

    id: str
    object: Literal["audit_log_entry"]
    organization_id: Annotated[str | None, Field(description="Null for what is about the whole environment.")]
    actor: ActorObject
    action: Annotated[str, Field(description="Such as `scim_token.issued`.")]
    target_type: Annotated[str, Field(description="What the target calls itself in `object`.")]
    target_id: str
    details: JsonObject
    trace_id: Annotated[str | None, Field(description="`X-Request-Id` of the request; null for a command.")]
    occurred_at: Moment


def organization_object(organization: Organization) -> OrganizationObject:
    """Return an organization."""
    return {
        "id": organization.id,
        "object": "organization",
        "name": organization.name,
        "created_at": organization.created_at,
        "updated_at": organization.updated_at,
        "deleted_at": organization.deleted_at,
    }


def user_object(user: User, *, seen_by: str | None = None, said: JsonObject | None = None) -> UserObject:
    """Return a user, with the profile that the mapping wrote.

    ``seen_by`` is the organization that looks. What another organization's
    directory says about the person is not its business; it sees what its own
    directory ``said``, as far as that is known here.
    """
    if seen_by is not None and user.managed_by_organization_id not in (None, seen_by):
        return _user_as_said(user, said or {})
    return {
        "id": user.id,
        "object": "user",
        "external_id": user.external_id,
        "email_address": user.email_address,
        "username": user.username,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "public_metadata": user.public_metadata,
        "active": user.active,
        "managed_by_organization_id": user.managed_by_organization_id,
        "created_at": user.created_at,
        "updated_at": user.updated_at,
        "deleted_at": user.deleted_at,
    }


def _user_as_said(user: User, said: JsonObject) -> UserObject:
    """Return a user whom another organization manages: whose address it is was known to whoever linked the person."""
    return {
        "id": user.id,
        "object": "user",
        "external_id": said.get("external_id"),
        "email_address": user.email_address,
        "username": said.get("username"),
        "first_name": said.get("first_name"),
        "last_name": said.get("last_name"),
        "public_metadata": said.get("public_metadata", {}),
        "active": user.active,
        "managed_by_organization_id": None,
        "created_at": user.created_at,
        "updated_at": user.updated_at,
        "deleted_at": user.deleted_at,
    }


def membership_object(
    membership: OrganizationMembership, *, seen_by: str | None = None
) -> OrganizationMembershipObject:
    """Return a membership, with its user as ``seen_by`` may see it; ``role`` is the role's key."""
    return {
        "id": membership.id,
        "object": "organization_membership",
        "organization_id": membership.organization_id,
        "user": user_object(membership.user, seen_by=seen_by),
        "role": membership.role.key,
        "permissions": membership.role.permissions,
        "role_source": membership.role_source,
        "created_at": membership.created_at,
        "updated_at": membership.updated_at,
        "deleted_at": membership.deleted_at,
    }


def scim_token_object(token: ScimToken) -> ScimTokenObject:
    """Return a SCIM token, without its plaintext."""
    return {
        "id": token.id,
        "object": "scim_token",
        "organization_id": token.organization_id,
        "enterprise_connection_id": token.enterprise_connection_id,
        "name": token.name,
        "prefix": token.prefix,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "last_used_at": token.last_used_at,
        "revoked_at": token.revoked_at,
        "replaced_by_id": token.replaced_by_id,
    }


def role_object(role: Role) -> RoleObject:
    """Return a role."""
    return {
        "id": role.id,
        "object": "role",
        "key": role.key,
        "name": role.name,
        "permissions": role.permissions,
        "is_default": role.is_default,
        "created_at": role.created_at,
        "updated_at": role.updated_at,
    }


def enterprise_connection_object(connection: EnterpriseConnection) -> EnterpriseConnectionObject:
    """Return an enterprise connection."""
    return {
        "id": connection.id,
        "object": "enterprise_connection",
        "organization_id": connection.organization_id,
        "protocol": connection.protocol,
        "name": connection.name,
        "domains": connection.domains,
        "enabled": connection.enabled,
        "created_at": connection.created_at,
        "updated_at": connection.updated_at,
    }


def issued_scim_token_object(token: ScimToken, plaintext: str) -> IssuedScimTokenObject:
    """Return a SCIM token with its plaintext, for the answer that issues it."""
    return {**scim_token_object(token), "token": plaintext}


def secret_key_object(key: SecretKey) -> SecretKeyObject:
    """Return a secret key, without its plaintext."""
    return {
        "id": key.id,
        "object": "secret_key",
        "organization_id": key.organization_id,
        "name": key.name,
        "scope": key.scope,
        "prefix": key.prefix,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at,
        "revoked_at": key.revoked_at,
    }


def issued_secret_key_object(key: SecretKey, plaintext: str) -> IssuedSecretKeyObject:
    """Return a secret key with its plaintext, for the answer that makes it."""
    return {**secret_key_object(key), "secret": plaintext}


def attribute_mapping_object(organization_id: str, override: AttributeMapping | None) -> ScimAttributeMappingObject:
    """Return the override of an organization's attribute mapping; empty where the defaults stand."""
    return {
        "object": "scim_attribute_mapping",
        "organization_id": organization_id,
        "mapping": override.mapping if override else {},
        "updated_at": override.updated_at if override else None,
    }


def audit_log_entry_object(act: AdministrativeAct) -> AuditLogEntryObject:
    """Return an administrative act."""
    return {
        "id": act.id,
        "object": "audit_log_entry",
        "organization_id": act.organization_id,
        "actor": {"kind": act.actor_kind, "id": act.actor_id, "label": act.actor_label},
        "action": act.action,
        "target_type": act.target_type,
        "target_id": act.target_id,
        "details": act.details,
        "trace_id": act.trace_id,
        "occurred_at": act.occurred_at,
    }
