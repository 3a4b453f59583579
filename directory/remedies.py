"""Why a request of an IdP was refused, and what its admin can do. The log keeps the code, the pages these words."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Remedy:
    """What a refusal means, in a few words, and how it is mended."""

    title: str
    mend: str


UNKNOWN = Remedy(
    "The request was refused",
    "Read the answer below: it says what was wrong. Mend it in the IdP, then let it try again.",
)

REMEDIES = {
    # -- Who is asking
    "token_revoked": Remedy(
        "The token was revoked",
        "Issue a new token here, paste it into the IdP in place of the old one, and test the connection there again.",
    ),
    "token_expired": Remedy(
        "The token has expired",
        "Issue a new token here, paste it into the IdP in place of the old one, and test the connection there again.",
    ),
    "token_garbled": Remedy(
        "The token was not copied whole",
        "It begins like one of yours and goes on differently. Nobody can look a token up, so issue a new one and "
        "use its copy button.",
    ),
    "bearer_missing": Remedy(
        "The word “Bearer” is missing",
        "The IdP sent the token alone. Choose the HTTP header or OAuth bearer token method there, or write "
        "“Bearer ” before the token.",
    ),
    "bearer_twice": Remedy(
        "The word “Bearer” was sent twice",
        "The IdP adds “Bearer” itself. Paste the token alone.",
    ),
    "directory_disabled": Remedy(
        "Directory sync is switched off",
        "It was off here when this call came, so nothing was read or changed. Switch it on in Directory sync; then "
        "have the IdP send everything again.",
    ),
    # -- Where and how
    "base_url_wrong": Remedy(
        "The base URL is one step too long",
        "The IdP appends /Users and /Groups itself. Paste the base URL as it is shown here, with nothing after "
        "/scim/v2/.",
    ),
    "rate_limited": Remedy(
        "Too many calls at once",
        "The IdP should slow down by itself and try again; nothing is lost. If it does not, ask whoever runs this"
        " installation for a higher limit.",
    ),
    "too_large": Remedy(
        "The request was too large",
        "Let the IdP send fewer members or operations at once. For large groups use an app that sends changes "
        "(PATCH), not whole groups.",
    ),
    "unsupported_media_type": Remedy(
        "The body is no JSON",
        "Set the content type to application/scim+json and switch compression off.",
    ),
    "method_not_allowed": Remedy(
        "This address does not answer to this method",
        "Check which methods the IdP is set to use. Users and Groups are created by POST, changed by PUT or "
        "PATCH, removed by DELETE.",
    ),
    "not_implemented": Remedy(
        "This part of SCIM is not supported",
        "Switch the feature off in the IdP. A token is no person, so /Me leads nowhere.",
    ),
    # -- What was sent
    "user_name_taken": Remedy(
        "The user name is taken",
        "Somebody in this directory has the same userName. In the IdP, find who else has it, or let the IdP match"
        " people by userName instead of creating them.",
    ),
    "external_id_taken": Remedy(
        "The external id is taken",
        "Somebody in this directory has the same externalId. It must be different for every person; check which "
        "attribute the IdP maps to it.",
    ),
    "email_taken": Remedy(
        "The e-mail address is taken",
        "Another active person of this directory has this address. Change one of the two in the IdP, or unassign "
        "the one that is not needed.",
    ),
    "group_name_taken": Remedy(
        "The group's name is taken",
        "The directory has a group of this name. In the IdP, link the existing group instead of creating it, or "
        "rename one of the two.",
    ),
    "uniqueness": Remedy("Something that must be unique is taken", "The answer says what. Change it in the IdP."),
    "invalid_value": Remedy(
        "A value does not fit",
        "The answer names the attribute. Correct it in the person's profile, or in the IdP's attribute mapping.",
    ),
    "invalid_syntax": Remedy(
        "The body cannot be read",
        "The answer says where. Where bodies are written by hand, as OneLogin's template is, check that it is "
        "valid JSON.",
    ),
    "invalid_path": Remedy(
        "An attribute is not known",
        "The answer names it. Correct it in the IdP's attribute mapping; attributes of an extension need their "
        "whole URN.",
    ),
    "invalid_filter": Remedy(
        "A filter cannot be answered",
        "The answer says why. Let the IdP match people by userName, externalId or emails.value.",
    ),
    "no_target": Remedy(
        "The place to change is not there", "The answer names it. Let the IdP send the whole person again."
    ),
    "mutability": Remedy("This attribute cannot be written", "Take it out of the IdP's attribute mapping."),
    "not_found": Remedy(
        "The IdP knows somebody who is not here",
        "It was deleted here or belongs to another connection. In the IdP, unassign and assign again, so that it "
        "looks for the person anew.",
    ),
    "version_mismatch": Remedy(
        "Somebody else was faster", "The IdP reads again and repeats its change. Nothing is to be done."
    ),
    # -- Us
    "unavailable": Remedy(
        "The server could not answer in time",
        "The IdP tries again. If it goes on, tell whoever runs this installation.",
    ),
    "internal_error": Remedy(
        "Something went wrong on our side", "Tell whoever runs this installation the id of the request."
    ),
}


def remedy_for(reason: str | None) -> Remedy:
    """Return what a refusal means and how it is mended; of an unknown reason, where to read on."""
    return REMEDIES.get(reason or "", UNKNOWN)
