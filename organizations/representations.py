"""The objects of the JSON API and of the events: plain dictionaries, times in Unix milliseconds, never a secret."""

from typing import Any

from models import AttributeMapping, Organization, OrganizationMembership, ScimToken, User

JsonObject = dict[str, Any]


def organization_object(organization: Organization) -> JsonObject:
    """Return an organization."""
    return {
        "id": organization.id,
        "object": "organization",
        "name": organization.name,
        "created_at": organization.created_at,
        "updated_at": organization.updated_at,
        "deleted_at": organization.deleted_at,
    }


def user_object(user: User, *, seen_by: str | None = None, said: JsonObject | None = None) -> JsonObject:
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


def _user_as_said(user: User, said: JsonObject) -> JsonObject:
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


def membership_object(membership: OrganizationMembership, *, seen_by: str | None = None) -> JsonObject:
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


def scim_token_object(token: ScimToken, *, plaintext: str | None = None) -> JsonObject:
    """Return a SCIM token; ``plaintext`` only in the answer that issues it."""
    shown = {} if plaintext is None else {"token": plaintext}
    return {
        "id": token.id,
        "object": "scim_token",
        "organization_id": token.organization_id,
        "enterprise_connection_id": token.enterprise_connection_id,
        "name": token.name,
        "prefix": token.prefix,
        **shown,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "last_used_at": token.last_used_at,
        "revoked_at": token.revoked_at,
    }


def attribute_mapping_object(organization_id: str, override: AttributeMapping | None) -> JsonObject:
    """Return the override of an organization's attribute mapping; empty where the defaults stand."""
    return {
        "object": "scim_attribute_mapping",
        "organization_id": organization_id,
        "mapping": override.mapping if override else {},
        "updated_at": override.updated_at if override else None,
    }
