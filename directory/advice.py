"""What to do about one request in the activity log: in general, in the IdP that sent it, and where all went well."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from directory.activity_search import find_provider
from directory.mappings import read_mapping
from directory.remedies import remedy_for
from models import DirectoryActivity, DirectoryUser, User

AGENTS = {
    "okta": "okta",
    "azure": "entra",
    "microsoft": "entra",
    "entra": "entra",
    "google": "google",
    "rippling": "rippling",
    "onelogin": "onelogin",
    "jumpcloud": "jumpcloud",
}

# Where to click, by the machine code of the reason and by the IdP.
WHERE = {
    "token": {
        "okta": "In Okta: Provisioning → Integration → Edit, paste the new token into API Token, then Test API "
        "Credentials and Save.",
        "entra": "In Entra: Provisioning → Admin Credentials, paste the new token into Secret Token, then Test "
        "Connection and Save.",
        "google": "In Google: Autoprovisioning → Edit the access token, then paste the new one.",
        "onelogin": "In OneLogin: Configuration → SCIM Bearer Token, paste the new one, then Enable and Save.",
        "jumpcloud": "In JumpCloud: Identity Management → Token Key, paste the new one, then Test Connection and Save.",
        "rippling": "In Rippling: the app's Settings → SCIM, paste the new token.",
    },
    "base_url_wrong": {
        "okta": "In Okta: Provisioning → Integration → Base URL.",
        "entra": "In Entra: Provisioning → Admin Credentials → Tenant URL.",
        "onelogin": "In OneLogin: Configuration → SCIM Base URL.",
        "jumpcloud": "In JumpCloud: Identity Management → Base URL.",
    },
    "rate_limited": {
        "okta": "Okta backs off automatically and repeats what was refused. Look at Dashboard → Tasks for what it "
        "gave up.",
        "entra": "Entra repeats in its next cycle, in 40 minutes.",
    },
    "taken": {
        "okta": "In Okta: Assignments, look whether the person is assigned twice; then Dashboard → Tasks → Retry.",
        "entra": "In Entra: Provisioning logs name the other person; then Provision on demand.",
    },
    "attribute": {
        "okta": "In Okta: Provisioning → To App → Attribute Mappings, or Directory → Profile Editor.",
        "entra": "In Entra: Provisioning → Mappings.",
        "google": "In Google: Autoprovisioning → Attribute mapping.",
        "onelogin": "In OneLogin: Parameters, or the SCIM JSON Template under Configuration.",
        "jumpcloud": "In JumpCloud: Identity Management → Attribute Mapping.",
    },
    "not_found": {
        "okta": "In Okta: Assignments, unassign the person and assign again.",
        "entra": "In Entra: Provisioning → Restart provisioning.",
    },
}
PLACES = {
    **dict.fromkeys(("token_revoked", "token_expired", "token_garbled", "bearer_missing", "bearer_twice"), "token"),
    **dict.fromkeys(("user_name_taken", "external_id_taken", "email_taken", "group_name_taken", "uniqueness"), "taken"),
    **dict.fromkeys(("invalid_value", "invalid_path", "mutability", "invalid_syntax"), "attribute"),
}
NO_FIRST_NAME = "no_first_name"
NO_ROLE_FROM_GROUPS = "no_role_from_groups"
NO_SUCH_ROLE = "no_such_role"


@dataclass(frozen=True)
class Advice:
    """What is wrong and how to mend it; ``code`` is the machine code, ``where`` in the words of the IdP, if known."""

    code: str
    title: str
    mend: str
    where: str | None = None


# What is no refusal, and still not what the admin wanted.
SYMPTOMS = {
    NO_FIRST_NAME: Advice(
        NO_FIRST_NAME,
        "The person has no first name",
        "The profile that the IdP reads from has none, or nothing of what was sent is mapped to it. Fill it in there; "
        "the person is sent again by itself.",
        "attribute",
    ),
    NO_ROLE_FROM_GROUPS: Advice(
        NO_ROLE_FROM_GROUPS,
        "Groups change no role here",
        "No row of the attribute mapping leads from groups to a role. Choose the roles of groups in the attribute "
        "mapping.",
    ),
    NO_SUCH_ROLE: Advice(
        NO_SUCH_ROLE,
        "The attribute mapping named no role that exists",
        "Compare the name in the warning with the keys of your roles, letter by letter, such as org:admin. What the "
        "IdP really sent for the person stands in the attribute mapping, as its example.",
    ),
}


def advise(session: Session, entry: DirectoryActivity) -> list[Advice]:
    """Return what to do about one request of a directory; nothing where all is well."""
    provider = find_provider(session, entry.organization_id) or provider_of(entry.user_agent)
    if entry.status >= 400:
        remedy, code = remedy_for(entry.reason), entry.reason or "refused"
        return [Advice(code, remedy.title, remedy.mend, where_in(provider, PLACES.get(code, code)))]
    found = [SYMPTOMS[code] for code in _symptoms(session, entry)]
    return [Advice(one.code, one.title, one.mend, where_in(provider, one.where or "")) for one in found]


def provider_of(user_agent: str | None) -> str | None:
    """Return the key of the IdP that calls itself so, or None."""
    words = (user_agent or "").lower()
    return next((provider for name, provider in AGENTS.items() if name in words), None)


def where_in(provider: str | None, place: str) -> str | None:
    """Return where something is mended in an IdP, in its own words, or None where that is not known."""
    return WHERE.get(place, {}).get(provider or "")


def _symptoms(session: Session, entry: DirectoryActivity) -> list[str]:
    codes = []
    if entry.target_type == "User" and entry.action in ("created", "restored") and _lacks_first_name(session, entry):
        codes.append(NO_FIRST_NAME)
    if any("gave no role of this environment" in warning for warning in entry.warnings):
        codes.append(NO_SUCH_ROLE)
    elif entry.target_type == "Group" and entry.action in ("created", "updated"):
        mapping = read_mapping(session, entry.organization_id)
        if not (mapping.maps_role and mapping.reads_groups):
            codes.append(NO_ROLE_FROM_GROUPS)
    return codes


def _lacks_first_name(session: Session, entry: DirectoryActivity) -> bool:
    """Tell whether the person of an entry is managed here and has no first name now."""
    query = (
        select(User.id)
        .join(DirectoryUser, DirectoryUser.user_id == User.id)
        .where(
            DirectoryUser.organization_id == entry.organization_id,
            DirectoryUser.user_id == entry.target_id,
            DirectoryUser.deleted_at.is_(None),
            User.managed_by_organization_id == entry.organization_id,
            User.first_name.is_(None),
        )
    )
    return session.scalar(query) is not None
