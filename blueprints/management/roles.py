"""Roles: the sets of permissions that members have, the same in every organization."""

from typing import Annotated

from pydantic import Field
from sqlalchemy.orm import Session

from blueprints.management.operations import audit, operation
from blueprints.management.requests import NAME, Body, Judged, Page, PageQuery, page
from organizations.representations import RoleObject, role_object
from organizations.roles import (
    KEY_LENGTH,
    change_role_definition,
    create_role,
    delete_role,
    get_role_by_id,
    list_roles,
    permission_problems,
    role_key_problems,
    role_name_problems,
)

ROLES = "/roles"
ROLE = f"{ROLES}/<role_id>"
Name = Annotated[str, Judged(role_name_problems, NAME)]
Permissions = Annotated[
    list[str], Judged(permission_problems), Field(max_length=100, examples=[["org:sys_memberships:read"]])
]


class NewRole(Body):
    """The role to add."""

    key: Annotated[
        str,
        Judged(role_key_problems, {"maxLength": KEY_LENGTH}),
        Field(examples=["org:support"], description="`org:`, then small letters, digits and `_`."),
    ]
    name: Name
    permissions: Permissions
    is_default: Annotated[bool, Field(description="The role of people for whom nothing else is decided.")] = False


class RoleChange(Body):
    """What to change of a role; what is left out stays."""

    name: Name | None = None
    permissions: Permissions | None = None
    is_default: Annotated[bool | None, Field(description="True makes it the default instead of the present one.")] = (
        None
    )


@operation("list_roles", "GET", ROLES, tag="Roles")
def list_all(session: Session, query: PageQuery) -> Page[RoleObject]:
    """List the roles of the environment, oldest first."""
    found = list_roles(session, limit=query.limit + 1, after=query.cursor)
    return page(found, query.limit, role_object, lambda role: role.id)


@operation(
    "create_role",
    "POST",
    ROLES,
    tag="Roles",
    status=201,
    for_environment=True,
    errors={409: "There is a role of this key."},
)
def create(session: Session, body: NewRole) -> RoleObject:
    """Add a role. It takes a secret key of the whole environment."""
    role = create_role(session, key=body.key, name=body.name, permissions=body.permissions, is_default=body.is_default)
    shown = role_object(role)
    audit(session, "role.created", shown, key=role.key, permissions=role.permissions)
    return shown


@operation("read_role", "GET", ROLE, tag="Roles")
def read(session: Session, role_id: str) -> RoleObject:
    """Return one role."""
    return role_object(get_role_by_id(session, role_id))


@operation(
    "change_role",
    "PATCH",
    ROLE,
    tag="Roles",
    for_environment=True,
    errors={409: "The role is part of every environment, or nobody could manage provisioning somewhere."},
)
def change(session: Session, role_id: str, body: RoleChange) -> RoleObject:
    """Change a role. Everybody who has it has the new permissions with the next request; no event tells of it.

    Of `org:admin` and `org:member` only `is_default` can be changed.
    """
    given = body.model_dump(exclude_none=True)
    shown = role_object(change_role_definition(session, role_id, **given))
    audit(session, "role.updated", shown, key=shown["key"], changed=sorted(given))
    return shown


@operation(
    "delete_role",
    "DELETE",
    ROLE,
    tag="Roles",
    status=204,
    for_environment=True,
    errors={409: "Members have the role, or it is the default one, or part of every environment."},
)
def delete(session: Session, role_id: str) -> None:
    """Delete a role that no member has. Attribute mappings that name it give the default role from then on."""
    shown = role_object(delete_role(session, role_id))
    audit(session, "role.deleted", shown, key=shown["key"])
