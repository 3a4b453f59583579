"""What this service provider announces: its resource types, their schemas, and its capabilities (RFC 7643 §5 to §7)."""

from typing import Annotated, Any

import scim2_models as scim2
from pydantic import ConfigDict, Field, GetCoreSchemaHandler, PrivateAttr
from pydantic_core import CoreSchema, core_schema
from scim2_models import (
    CaseExact,
    ComplexAttribute,
    Mutability,
    ScimPolicy,
    ScimProvider,
    ServiceProviderConfig,
    Uniqueness,
)
from scim2_models.resources import user as core
from scim2_models.resources.group import GroupMember

from directory.group_membership import MemberChange

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 200
# Cursors are not stored, so a long time costs nothing; after it the client starts again with an empty one.
CURSOR_TIMEOUT_SECONDS = 24 * 60 * 60


def label(*canonical: str) -> Any:
    """Return the field of a ``type``: these values are suggested (RFC 7643 §7), and any text is kept as it was sent."""
    return Field(None, examples=list(canonical), description="A label indicating the attribute's function.")


class Email(core.Email):
    """An e-mail address as the IdP sent it: echoed unchanged, judged only by the attribute mapping."""

    value: str | None = None
    """Email address for the user."""

    type: str | None = label("work", "home", "other")  # type: ignore[assignment]


class PhoneNumber(core.PhoneNumber):
    """A telephone number."""

    type: str | None = label("work", "home", "mobile", "fax", "pager", "other")  # type: ignore[assignment]


class Im(core.Im):
    """An instant messaging address."""

    type: str | None = label("aim", "gtalk", "icq", "xmpp", "msn", "skype", "qq", "yahoo")  # type: ignore[assignment]


class Photo(core.Photo):
    """A photo."""

    type: str | None = label("photo", "thumbnail")  # type: ignore[assignment]


class Address(core.Address):
    """A physical mailing address."""

    type: str | None = label("work", "home", "other")  # type: ignore[assignment]


class AnyReference(scim2.Reference[scim2.External]):
    """A reference as the IdP sent it: templates and Microsoft's validator fill it with texts that are no URL."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source_type: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(cls, core_schema.str_schema(strict=True))


class User(scim2.User[Any]):
    """User Account"""

    # Templates write numbers where texts belong, as in "externalId": 42.
    model_config = ConfigDict(coerce_numbers_to_str=True)

    emails: list[Email] | None = None  # type: ignore[assignment]
    """Email addresses for the user."""

    phone_numbers: list[PhoneNumber] | None = None  # type: ignore[assignment]
    """Phone numbers for the User."""

    ims: list[Im] | None = None  # type: ignore[assignment]
    """Instant messaging addresses for the User."""

    photos: list[Photo] | None = None  # type: ignore[assignment]
    """URLs of photos of the User."""

    addresses: list[Address] | None = None  # type: ignore[assignment]
    """A physical mailing address for this User."""

    profile_url: AnyReference | None = None
    """A fully qualified URL pointing to a page representing the User's online profile."""

    # What the body carried as ``groups``: read-only in SCIM, but a source for the attribute mapping.
    _sent_groups: list[Any] | None = PrivateAttr(default=None)


class Manager(ComplexAttribute):
    """A person's manager, as the IdP names it. RFC 7643 §4.3 makes no member required, and Entra sends the id alone."""

    value: Annotated[str | None, CaseExact.true] = None
    """The id of the SCIM resource representing the User's manager."""

    ref: scim2.Reference[scim2.User[Any]] | None = Field(None, serialization_alias="$ref", validation_alias="$ref")
    """The URI of the SCIM resource representing the User's manager."""

    display_name: Annotated[str | None, Mutability.read_only] = None
    """The displayName of the User's manager."""


class EnterpriseUser(scim2.EnterpriseUser):
    """Enterprise User"""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    manager: Manager | None = None  # type: ignore[assignment]
    """The User's manager."""


class Member(GroupMember):
    """A person in a group. Groups hold people only, so a reference names a User."""

    ref: Annotated[scim2.Reference[scim2.User[Any]] | None, Mutability.immutable] = Field(  # type: ignore[assignment]
        None, serialization_alias="$ref", validation_alias="$ref"
    )
    """The URI of the member."""

    type: Annotated[str | None, Mutability.immutable, CaseExact.false] = Field(None, examples=["User"])
    """The type of the member: always User."""


class Group(scim2.Group):
    """Group"""

    display_name: Annotated[str | None, scim2.Required.true, Uniqueness.server] = None
    """A human-readable name for the Group."""

    members: list[Member] | None = None  # type: ignore[assignment]
    """A list of members of the Group."""

    # Who joins and leaves, where the model was read or sent without its members: they are rows, changed one by one.
    _member_change: MemberChange | None = PrivateAttr(default=None)


# What identity providers send, tolerated for all of them alike: unknown schemas and
# attributes are kept, Entra removes members by value, and expects the element that
# a path filter describes to be made when it is missing.
POLICY = ScimPolicy(
    unknown=ScimPolicy.Unknown.keep,
    remove_value_as_filter=ScimPolicy.RemoveValue.apply,
    unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
)


def bulk_capability(max_operations: int, max_payload_size: int) -> scim2.Bulk:
    """Return the announcement of Bulk with these limits, the size in bytes (RFC 7644 §3.7.4)."""
    return scim2.Bulk(supported=True, max_operations=max_operations, max_payload_size=max_payload_size)


def service_provider_config() -> ServiceProviderConfig:
    """Return the capabilities of this service provider (RFC 7643 §5). What is not there is not announced."""
    return ServiceProviderConfig(
        documentation_uri=None,
        patch=scim2.Patch(supported=True),
        bulk=bulk_capability(100, 1024 * 1024),
        filter=scim2.Filter(supported=True, max_results=MAX_PAGE_SIZE),
        change_password=scim2.ChangePassword(supported=False),
        sort=scim2.Sort(supported=True),
        etag=scim2.ETag(supported=True),
        pagination=scim2.Pagination(
            cursor=True,
            index=True,
            default_pagination_method=scim2.Pagination.DefaultPaginationMethod.index,
            default_page_size=DEFAULT_PAGE_SIZE,
            max_page_size=MAX_PAGE_SIZE,
            cursor_timeout=CURSOR_TIMEOUT_SECONDS,
        ),
        authentication_schemes=[
            scim2.AuthenticationScheme(
                type=scim2.AuthenticationScheme.Type.oauthbearertoken,
                name="SCIM token",
                description="A bearer token issued in Directory sync. It alone decides the organization.",
                spec_uri=scim2.Reference("https://www.rfc-editor.org/info/rfc6750"),
                primary=True,
            )
        ],
    )


def make_provider() -> ScimProvider:
    """Return the description of this service provider: Users with the enterprise extension, and Groups."""
    return ScimProvider(
        models=[User, EnterpriseUser, Group],
        resource_types=[
            scim2.ResourceType.from_resource(User[EnterpriseUser]),  # type: ignore[misc]
            scim2.ResourceType.from_resource(Group),
        ],
        config=service_provider_config(),
        policy=POLICY,
    )
