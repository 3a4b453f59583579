"""What is stored: tables, constraints, indexes. No queries, no Flask, no input or output.

Times are integer Unix milliseconds. ``*_key`` columns hold the folded form of a
name (see ``folding.py``), in which it is compared and indexed. Every table of a
directory leads with ``organization_id``, so no look-up can leave the organization.
"""

from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from clock import now_ms

# A folded document: compared in the database, never read back.
FoldedDocument = JSON().with_variant(JSONB(), "postgresql")
# The folded form of a name, in the order of its code points on every database.
Key = Text().with_variant(Text(collation="C"), "postgresql")


class Base(DeclarativeBase):
    """The declarative base; every constraint gets a name, so that errors and migrations can speak of it."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {
        str: Text,
        int: BigInteger,
        bool: Boolean,
        dict[str, Any]: JSON,
        list[str]: JSON,
        list[Any]: JSON,
    }


# -- Organizations and people ------------------------------------------------


class Organization(Base):
    """A customer of the product."""

    __tablename__ = "organizations"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    created_at: Mapped[int] = mapped_column(default=now_ms)
    updated_at: Mapped[int] = mapped_column(default=now_ms)
    deleted_at: Mapped[int | None]


class Role(Base):
    """A named set of permissions, the same in every organization of the environment."""

    __tablename__ = "roles"

    id: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    permissions: Mapped[list[str]]
    is_default: Mapped[bool] = mapped_column(default=False, server_default=false())
    created_at: Mapped[int] = mapped_column(default=now_ms)
    updated_at: Mapped[int] = mapped_column(default=now_ms)


class User(Base):
    """The product's person, unique by e-mail address in the environment, in any number of organizations.

    ``managed_by_organization_id`` is the one organization whose directory may
    write the profile; null for a person whom no directory manages.
    """

    __tablename__ = "users"

    id: Mapped[str] = mapped_column(primary_key=True)
    external_id: Mapped[str | None]
    email_address: Mapped[str | None]
    email_key: Mapped[str | None] = mapped_column(unique=True)
    username: Mapped[str | None]
    first_name: Mapped[str | None]
    last_name: Mapped[str | None]
    public_metadata: Mapped[dict[str, Any]] = mapped_column(default=dict)
    # The places in it (``a.b``) that the managing directory has written, so that those it gives up can be removed.
    directory_metadata_paths: Mapped[list[str]] = mapped_column(default=list, server_default=text("'[]'"))
    active: Mapped[bool] = mapped_column(default=True)
    managed_by_organization_id: Mapped[str | None] = mapped_column(ForeignKey("organizations.id"))
    created_at: Mapped[int] = mapped_column(default=now_ms)
    updated_at: Mapped[int] = mapped_column(default=now_ms)
    deleted_at: Mapped[int | None]


class OrganizationMembership(Base):
    """The tie of a user to an organization, with one role. Soft-deleted when the person leaves, restored on return."""

    __tablename__ = "organization_memberships"
    __table_args__ = (
        UniqueConstraint("organization_id", "user_id"),
        Index(None, "user_id"),
        # The pages of a list of members, in the order in which they joined: all, those of a role or of a source of
        # roles, and those who left.
        Index(None, "organization_id", "id"),
        # Whom a directory that was switched off suspended.
        Index(
            "ix_organization_memberships_suspended",
            "organization_id",
            "user_id",
            sqlite_where=text("suspended_at IS NOT NULL"),
            postgresql_where=text("suspended_at IS NOT NULL"),
        ),
        Index(
            "ix_organization_memberships_role",
            "organization_id",
            "role_id",
            "id",
            sqlite_where=text("deleted_at IS NULL"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index(
            "ix_organization_memberships_role_source",
            "organization_id",
            "role_source",
            "id",
            sqlite_where=text("deleted_at IS NULL"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index(
            "ix_organization_memberships_former",
            "organization_id",
            "id",
            sqlite_where=text("deleted_at IS NOT NULL"),
            postgresql_where=text("deleted_at IS NOT NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    role_id: Mapped[str] = mapped_column(ForeignKey("roles.id"))
    role_source: Mapped[str] = mapped_column(String(16))
    # What the directory last decided, so that a role set by hand stays until that decision changes.
    mapped_role_key: Mapped[str | None]
    created_at: Mapped[int] = mapped_column(default=now_ms)
    updated_at: Mapped[int] = mapped_column(default=now_ms)
    deleted_at: Mapped[int | None]
    # Since when it is ended only because the directory was switched off; it comes back with the directory.
    suspended_at: Mapped[int | None]

    user: Mapped[User] = relationship()
    role: Mapped[Role] = relationship()


class EnterpriseConnection(Base):
    """The SSO application that SCIM is layered on."""

    __tablename__ = "enterprise_connections"
    __table_args__ = (Index(None, "organization_id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    protocol: Mapped[str] = mapped_column(String(8))
    name: Mapped[str]
    domains: Mapped[list[str]]
    enabled: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[int] = mapped_column(default=now_ms)
    updated_at: Mapped[int] = mapped_column(default=now_ms)


class EnterpriseConnectionDomain(Base):
    """A domain of an enterprise connection, as a row, so that no two connections of the environment have the same."""

    __tablename__ = "enterprise_connection_domains"
    __table_args__ = (Index(None, "connection_id"),)

    domain: Mapped[str] = mapped_column(primary_key=True)
    connection_id: Mapped[str] = mapped_column(ForeignKey("enterprise_connections.id", ondelete="CASCADE"))


# -- Credentials: only hashes are stored --------------------------------------


class ScimToken(Base):
    """A bearer token of an IdP. It alone decides the organization of a SCIM request."""

    __tablename__ = "scim_tokens"
    __table_args__ = (
        Index(None, "organization_id", "created_at"),
        # By its prefix a token is recognised that was not copied whole.
        Index(None, "prefix"),
        # Of whose end nobody has been told yet.
        Index(
            "ix_scim_tokens_expiring",
            "expires_at",
            sqlite_where=text("revoked_at IS NULL AND replaced_by_id IS NULL AND expiring_told_at IS NULL"),
            postgresql_where=text("revoked_at IS NULL AND replaced_by_id IS NULL AND expiring_told_at IS NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    enterprise_connection_id: Mapped[str | None] = mapped_column(
        ForeignKey("enterprise_connections.id", ondelete="SET NULL")
    )
    name: Mapped[str]
    prefix: Mapped[str] = mapped_column(String(16))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[int] = mapped_column(default=now_ms)
    expires_at: Mapped[int | None]
    last_used_at: Mapped[int | None]
    revoked_at: Mapped[int | None]
    # The token that it was rotated to, and when it was told that it soon expires.
    replaced_by_id: Mapped[str | None]
    expiring_told_at: Mapped[int | None]


class SecretKey(Base):
    """A bearer key of the product's backend; for one organization, or for the environment when that is null.

    ``scope`` is ``read`` or ``write``; a key that may write may read as well.
    """

    __tablename__ = "secret_keys"
    __table_args__ = (Index(None, "organization_id", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str | None] = mapped_column(ForeignKey("organizations.id"))
    name: Mapped[str]
    scope: Mapped[str] = mapped_column(String(8), default="write")
    prefix: Mapped[str] = mapped_column(String(16))
    key_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[int] = mapped_column(default=now_ms)
    expires_at: Mapped[int | None]
    last_used_at: Mapped[int | None]
    revoked_at: Mapped[int | None]


class IdempotentAnswer(Base):
    """What a POST with an ``Idempotency-Key`` was answered, for its repetition; sealed, since it may hold a secret.

    ``fingerprint`` tells whether a request under the key asks for the same.
    """

    __tablename__ = "idempotent_answers"
    __table_args__ = (Index(None, "created_at"),)

    secret_key_id: Mapped[str] = mapped_column(ForeignKey("secret_keys.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    status: Mapped[int] = mapped_column(Integer)
    sealed_body: Mapped[str]
    created_at: Mapped[int] = mapped_column(default=now_ms)


class SignInLink(Base):
    """A link that signs a member in once.

    ``organization_bound`` marks one that somebody made who can speak for this organization alone: it proves nothing
    about the person elsewhere.
    """

    __tablename__ = "sign_in_links"
    __table_args__ = (
        Index(None, "organization_id", "id"),
        Index(None, "organization_id", "user_id"),
        Index(None, "expires_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    organization_bound: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[int] = mapped_column(default=now_ms)
    expires_at: Mapped[int]
    used_at: Mapped[int | None]
    revoked_at: Mapped[int | None]


class SetupLink(Base):
    """A link that opens Directory sync of one organization to somebody who is no member, until it ends."""

    __tablename__ = "setup_links"
    __table_args__ = (Index(None, "organization_id", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    name: Mapped[str]
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[int] = mapped_column(default=now_ms)
    expires_at: Mapped[int]
    last_used_at: Mapped[int | None]
    revoked_at: Mapped[int | None]


class Password(Base):
    """A person's password, hashed. ``organization_id`` is the only organization that it opens, or null for all."""

    __tablename__ = "passwords"

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    password_hash: Mapped[str]
    organization_id: Mapped[str | None] = mapped_column(ForeignKey("organizations.id"))
    set_at: Mapped[int] = mapped_column(default=now_ms)


class Session(Base):
    """A signed-in browser in one organization: of a user who is a member, or of whoever opened a setup link.

    ``proven_at`` is when whoever uses it last proved who that is, ``proven_by`` how: ``sign_in_link``,
    ``setup_link`` or ``password``. ``organization_bound`` as in ``SignInLink``.
    """

    __tablename__ = "sessions"
    __table_args__ = (
        CheckConstraint("(user_id IS NULL) <> (setup_link_id IS NULL)", name="ck_sessions_holder"),
        Index(None, "organization_id", "user_id"),
        Index(None, "user_id"),
        Index(None, "expires_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    setup_link_id: Mapped[str | None] = mapped_column(ForeignKey("setup_links.id"))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    proven_by: Mapped[str] = mapped_column(String(16))
    proven_at: Mapped[int] = mapped_column(default=now_ms)
    organization_bound: Mapped[bool] = mapped_column(default=False)
    user_agent: Mapped[str | None]
    created_at: Mapped[int] = mapped_column(default=now_ms)
    last_seen_at: Mapped[int] = mapped_column(default=now_ms)
    expires_at: Mapped[int]
    ended_at: Mapped[int | None]


class AdministrativeAct(Base):
    """One line of the audit log: who did what to which object. About the whole environment without an organization."""

    __tablename__ = "administrative_acts"
    __table_args__ = (
        Index(None, "organization_id", "id"),
        Index(None, "actor_id", "id"),
        Index(None, "target_id", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str | None] = mapped_column(ForeignKey("organizations.id"))
    actor_kind: Mapped[str] = mapped_column(String(16))
    actor_id: Mapped[str | None]
    actor_label: Mapped[str]
    action: Mapped[str]
    target_type: Mapped[str]
    target_id: Mapped[str]
    details: Mapped[dict[str, Any]]
    trace_id: Mapped[str | None]
    occurred_at: Mapped[int] = mapped_column(default=now_ms)


# -- The directory: what the IdP pushed ----------------------------------------


class DirectoryList(Base):
    """How many users, or groups, a directory has, since counting takes the longer the more there are.

    ``shifts`` grows when one of them goes, or comes anywhere but at the end: as
    long as it is the same, whoever stood at a place of the list still does.
    """

    __tablename__ = "directory_lists"

    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    resource_type: Mapped[str] = mapped_column(String(8), primary_key=True)
    total: Mapped[int] = mapped_column(default=0)
    # The greatest id that ever was in the list; lists are in the order of ids.
    last_id: Mapped[str] = mapped_column(Key, default="")
    shifts: Mapped[int] = mapped_column(default=0)


class DirectorySwitch(Base):
    """Whether an organization's directory is on, once somebody switched it; one that nobody ever switched is.

    ``people`` says what became of its people when it was switched off (``keep``
    or ``suspend``). ``work`` is ``suspend`` or ``restore`` while that is being
    done, to ``done`` of ``total`` people so far.
    """

    __tablename__ = "directory_switches"

    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    disabled_at: Mapped[int | None]
    people: Mapped[str | None] = mapped_column(String(8))
    work: Mapped[str | None] = mapped_column(String(8))
    total: Mapped[int] = mapped_column(default=0)
    done: Mapped[int] = mapped_column(default=0)
    updated_at: Mapped[int] = mapped_column(default=now_ms)


class AttributeMapping(Base):
    """The override of the default attribute mapping, one per organization."""

    __tablename__ = "scim_attribute_mappings"

    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    mapping: Mapped[dict[str, Any]]
    version: Mapped[int] = mapped_column(default=1)
    updated_at: Mapped[int] = mapped_column(default=now_ms)


class MappingDraft(Base):
    """A changed attribute mapping that somebody has not saved yet; each author has one of their own.

    ``base_version`` is the version of the mapping that it was made from, 0 for
    the defaults; ``revision`` grows with each change of the draft.
    """

    __tablename__ = "scim_attribute_mapping_drafts"

    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    author_id: Mapped[str] = mapped_column(primary_key=True)
    mapping: Mapped[dict[str, Any]]
    base_version: Mapped[int]
    revision: Mapped[int] = mapped_column(default=1)
    updated_at: Mapped[int] = mapped_column(default=now_ms)


class MappingApplication(Base):
    """One version of an attribute mapping on its way to everybody in the directory.

    ``state`` is ``pending``, ``running``, ``done``, ``failed`` or ``superseded``.
    Whoever is up to ``cursor``, the id of a user, has been looked at. The worker
    ``claimed_by`` alone goes on until ``claimed_until``. ``notes`` are the
    warnings, each with how many people it is about and the first of them.
    """

    __tablename__ = "mapping_applications"
    __table_args__ = (
        # What is to be done, in whatever organization.
        Index(
            "ix_mapping_applications_unfinished",
            "organization_id",
            "claimed_until",
            sqlite_where=text("state IN ('pending', 'running')"),
            postgresql_where=text("state IN ('pending', 'running')"),
        ),
    )

    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(String(16), default="pending")
    total: Mapped[int]
    examined: Mapped[int] = mapped_column(default=0)
    changed: Mapped[int] = mapped_column(default=0)
    warned: Mapped[int] = mapped_column(default=0)
    notes: Mapped[dict[str, Any]] = mapped_column(default=dict)
    cursor: Mapped[str | None]
    error: Mapped[str | None]
    claimed_by: Mapped[str | None]
    claimed_until: Mapped[int | None]
    created_at: Mapped[int] = mapped_column(default=now_ms)
    started_at: Mapped[int | None]
    updated_at: Mapped[int] = mapped_column(default=now_ms)
    finished_at: Mapped[int | None]


class DirectoryUser(Base):
    """A SCIM User of one organization. Its id is the id of the user; ``deleted_at`` makes it a tombstone.

    ``document`` is the canonical resource as JSON text, without what is
    computed when it is answered: ``id``, ``meta``, ``groups``.
    """

    __tablename__ = "directory_users"
    __table_args__ = (
        ForeignKeyConstraint(["user_id"], ["users.id"]),
        Index(
            "uq_directory_users_user_name",
            "organization_id",
            "user_name_key",
            unique=True,
            sqlite_where=text("deleted_at IS NULL"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index(
            "uq_directory_users_external_id",
            "organization_id",
            "external_id",
            unique=True,
            sqlite_where=text("deleted_at IS NULL"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index(
            "uq_directory_users_active_email",
            "organization_id",
            "email_key",
            unique=True,
            sqlite_where=text("active AND deleted_at IS NULL"),
            postgresql_where=text("active AND deleted_at IS NULL"),
        ),
        # Of all tombstones of a name, the latest is restored.
        Index(
            "ix_directory_users_tombstones",
            "organization_id",
            "user_name_key",
            "deleted_at",
            sqlite_where=text("deleted_at IS NOT NULL"),
            postgresql_where=text("deleted_at IS NOT NULL"),
        ),
        Index(
            "ix_directory_users_external_ids",
            "organization_id",
            "external_id",
            "deleted_at",
            sqlite_where=text("deleted_at IS NOT NULL"),
            postgresql_where=text("deleted_at IS NOT NULL"),
        ),
        # Those to be forgotten.
        Index(
            "ix_directory_users_deleted_at",
            "deleted_at",
            sqlite_where=text("deleted_at IS NOT NULL"),
            postgresql_where=text("deleted_at IS NOT NULL"),
        ),
        # What filters look up. The id keeps what they find in the order of a list.
        Index(None, "organization_id", "display_name_key", "user_id"),
        Index(None, "organization_id", "shown_active", "user_id"),
        # Which other directories have a person.
        Index(None, "user_id"),
    )

    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    user_id: Mapped[str] = mapped_column(primary_key=True)
    user_name: Mapped[str]
    user_name_key: Mapped[str] = mapped_column(Key)
    external_id: Mapped[str | None]
    display_name: Mapped[str | None]
    display_name_key: Mapped[str | None] = mapped_column(Key)
    email_key: Mapped[str | None]
    active: Mapped[bool]
    # ``active`` of the document, by which SCIM filters; the mapping may take the column above from elsewhere.
    shown_active: Mapped[bool | None]
    # ``groups`` of the last body that had it: read-only for SCIM, a source for the attribute mapping.
    sent_groups: Mapped[list[Any]] = mapped_column(default=list)
    document: Mapped[str]
    document_key: Mapped[dict[str, Any]] = mapped_column(FoldedDocument, deferred=True)
    version: Mapped[int] = mapped_column(Integer, default=1)
    created_at: Mapped[int] = mapped_column(default=now_ms)
    last_modified_at: Mapped[int] = mapped_column(default=now_ms)
    deleted_at: Mapped[int | None]


class DirectoryUserEmail(Base):
    """One e-mail address of a directory user, so that ``emails.value eq`` meets an index."""

    __tablename__ = "directory_user_emails"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "user_id"],
            ["directory_users.organization_id", "directory_users.user_id"],
            ondelete="CASCADE",
        ),
        Index(None, "organization_id", "value_key"),
    )

    organization_id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(Integer, primary_key=True)
    value_key: Mapped[str]
    type_key: Mapped[str | None]


class DirectoryGroup(Base):
    """A SCIM Group of one organization. Its members are rows of their own."""

    __tablename__ = "directory_groups"
    __table_args__ = (
        Index("uq_directory_groups_display_name", "organization_id", "display_name_key", unique=True),
        Index("uq_directory_groups_external_id", "organization_id", "external_id", unique=True),
    )

    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    display_name: Mapped[str]
    display_name_key: Mapped[str] = mapped_column(Key)
    external_id: Mapped[str | None]
    document: Mapped[str]
    document_key: Mapped[dict[str, Any]] = mapped_column(FoldedDocument, deferred=True)
    version: Mapped[int] = mapped_column(Integer, default=1)
    created_at: Mapped[int] = mapped_column(default=now_ms)
    last_modified_at: Mapped[int] = mapped_column(default=now_ms)


class DirectoryGroupMember(Base):
    """A directory user in a directory group; ``joined_at`` orders the groups of a user."""

    __tablename__ = "directory_group_members"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "group_id"],
            ["directory_groups.organization_id", "directory_groups.id"],
            ondelete="CASCADE",
        ),
        ForeignKeyConstraint(
            ["organization_id", "user_id"],
            ["directory_users.organization_id", "directory_users.user_id"],
            ondelete="CASCADE",
        ),
        # The groups of a user, all that is asked of them: else SQLite looks through all members of an organization.
        Index("ix_directory_group_members_of_user", "organization_id", "user_id", "joined_at", "group_id"),
        # The members of a group, the latest first.
        Index("ix_directory_group_members_latest", "organization_id", "group_id", "joined_at", "user_id"),
    )

    organization_id: Mapped[str] = mapped_column(primary_key=True)
    group_id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(primary_key=True)
    # What the IdP wrote beside the member; the member's own name is shown where it wrote nothing.
    display: Mapped[str | None]
    display_key: Mapped[str | None] = mapped_column(Key)
    joined_at: Mapped[int] = mapped_column(default=now_ms)


class DirectorySetup(Base):
    """How far an admin is in connecting the IdP; ``confirmed_steps`` are those that nothing else stored tells of."""

    __tablename__ = "directory_setups"

    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    provider: Mapped[str] = mapped_column(String(32))
    confirmed_steps: Mapped[list[str]] = mapped_column(default=list)
    # The latest token that was issued on the way.
    token_id: Mapped[str | None]
    started_at: Mapped[int] = mapped_column(default=now_ms)
    updated_at: Mapped[int] = mapped_column(default=now_ms)


class DirectoryActivity(Base):
    """One SCIM request that wrote, was refused or tested the connection; ``directory.activity`` describes it."""

    __tablename__ = "directory_activities"
    __table_args__ = (
        Index(None, "organization_id", "id"),
        # What happened to one person or group.
        Index(None, "organization_id", "target_id", "id"),
        Index(
            "ix_directory_activities_refused",
            "organization_id",
            "id",
            sqlite_where=text("status >= 400"),
            postgresql_where=text("status >= 400"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    token_id: Mapped[str | None]
    method: Mapped[str] = mapped_column(String(8))
    path: Mapped[str]
    status: Mapped[int] = mapped_column(Integer)
    action: Mapped[str] = mapped_column(String(16), default="unchanged")
    target_type: Mapped[str | None] = mapped_column(String(8))
    target_id: Mapped[str | None]
    target_label: Mapped[str | None]
    effects: Mapped[list[Any]] = mapped_column(default=list)
    reason: Mapped[str | None] = mapped_column(String(32))
    detail: Mapped[str | None]
    warnings: Mapped[list[str]]
    user_agent: Mapped[str | None]
    duration_ms: Mapped[int | None] = mapped_column(Integer)
    request_body: Mapped[str | None] = mapped_column(deferred=True)
    answer_body: Mapped[str | None] = mapped_column(deferred=True)
    # The Bulk request that this operation came in.
    parent_id: Mapped[str | None]
    occurred_at: Mapped[int] = mapped_column(default=now_ms)


# -- Events and webhooks ----------------------------------------------------------


class EventSequence(Base):
    """The last sequence number given in one stream: an organization's id, or ``environment``."""

    __tablename__ = "event_sequences"

    stream: Mapped[str] = mapped_column(primary_key=True)
    last: Mapped[int]


class Event(Base):
    """Something that happened, written in the transaction of the change. ``body`` is the envelope, as it is sent.

    ``position`` orders the events of the whole environment. It is given when a
    reader first asks for them (see ``webhooks/history.py``), so null until then.
    ``user_id`` is the person whom it is about, where it is about one.
    """

    __tablename__ = "events"
    __table_args__ = (
        UniqueConstraint("stream", "sequence"),
        # Those without a position come first or last in it, oldest first: what the next reader has to place.
        Index("ix_events_position", "position", "occurred_at", "sequence"),
        # The history of one person.
        Index(
            "ix_events_user",
            "stream",
            "user_id",
            "sequence",
            sqlite_where=text("user_id IS NOT NULL"),
            postgresql_where=text("user_id IS NOT NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str | None] = mapped_column(ForeignKey("organizations.id"))
    stream: Mapped[str]
    sequence: Mapped[int]
    type: Mapped[str] = mapped_column(String(64))
    occurred_at: Mapped[int]
    position: Mapped[int | None]
    user_id: Mapped[str | None]
    body: Mapped[str]


class WebhookEndpoint(Base):
    """Where events are sent; for one organization, or for the environment when that is null.

    ``former_secrets`` are ``{"sealed", "expires_at"}``, the latest first: rotated ones, which sign too until then.
    ``claimed_by`` names the drain that alone may send to it until ``claimed_until``.
    """

    __tablename__ = "webhook_endpoints"
    __table_args__ = (Index(None, "organization_id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    organization_id: Mapped[str | None] = mapped_column(ForeignKey("organizations.id"))
    url: Mapped[str]
    description: Mapped[str | None]
    enabled_event_types: Mapped[list[str]]
    enabled: Mapped[bool] = mapped_column(default=True)
    disabled_at: Mapped[int | None]
    disabled_reason: Mapped[str | None]
    encrypted_secret: Mapped[str]
    former_secrets: Mapped[list[Any]] = mapped_column(default=list)
    failing_since: Mapped[int | None]
    claimed_by: Mapped[str | None]
    claimed_until: Mapped[int | None]
    created_at: Mapped[int] = mapped_column(default=now_ms)
    updated_at: Mapped[int] = mapped_column(default=now_ms)


class WebhookDelivery(Base):
    """The duty to bring one event to one endpoint, written with the event; the outbox."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        UniqueConstraint("endpoint_id", "event_id"),
        # What is due, for one endpoint and for all: the order in which it is sent.
        Index(
            "ix_webhook_deliveries_due",
            "endpoint_id",
            "next_attempt_at",
            sqlite_where=text("state = 'pending'"),
            postgresql_where=text("state = 'pending'"),
        ),
        Index(None, "event_id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    endpoint_id: Mapped[str] = mapped_column(ForeignKey("webhook_endpoints.id", ondelete="CASCADE"))
    event_id: Mapped[str] = mapped_column(ForeignKey("events.id", ondelete="CASCADE"))
    event_type: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16), default="pending")
    attempt_count: Mapped[int] = mapped_column(Integer, default=0)
    next_attempt_at: Mapped[int | None]
    created_at: Mapped[int] = mapped_column(default=now_ms)
    finished_at: Mapped[int | None]

    event: Mapped[Event] = relationship()
    endpoint: Mapped[WebhookEndpoint] = relationship()
    attempts: Mapped[list["WebhookAttempt"]] = relationship(order_by="WebhookAttempt.id", passive_deletes=True)


class WebhookAttempt(Base):
    """One try of a delivery: the status and the first 4 KiB of the answer, or why there was none."""

    __tablename__ = "webhook_attempts"
    __table_args__ = (Index(None, "delivery_id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    delivery_id: Mapped[str] = mapped_column(ForeignKey("webhook_deliveries.id", ondelete="CASCADE"))
    attempted_at: Mapped[int]
    status: Mapped[int | None] = mapped_column(Integer)
    milliseconds: Mapped[int] = mapped_column(Integer)
    error: Mapped[str | None]
    response_body: Mapped[str | None]
