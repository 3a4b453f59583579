"""Why a request was refused, as a code. The words for each are in ``directory.remedies``."""

import re
from typing import Any

from directory.mappings import DIRECTORY_IS_OFF
from scim.storage import TAKEN

BY_SENTENCE = {
    DIRECTORY_IS_OFF: "directory_disabled",
    TAKEN["uq_directory_users_user_name"]: "user_name_taken",
    TAKEN["uq_directory_users_external_id"]: "external_id_taken",
    TAKEN["uq_directory_users_active_email"]: "email_taken",
    TAKEN["same_person"]: "email_taken",
    TAKEN["uq_directory_groups_display_name"]: "group_name_taken",
    TAKEN["uq_directory_groups_external_id"]: "external_id_taken",
}
BY_SCIM_TYPE = {
    "uniqueness": "uniqueness",
    "invalidValue": "invalid_value",
    "invalidSyntax": "invalid_syntax",
    "invalidPath": "invalid_path",
    "invalidFilter": "invalid_filter",
    "noTarget": "no_target",
    "mutability": "mutability",
}
BY_STATUS = {
    404: "not_found",
    405: "method_not_allowed",
    409: "uniqueness",
    412: "version_mismatch",
    413: "too_large",
    415: "unsupported_media_type",
    429: "rate_limited",
    500: "internal_error",
    501: "not_implemented",
    503: "unavailable",
}
# What an IdP asks for when the base URL was pasted with a resource at its end.
DOUBLED_PATH = re.compile(
    r"/scim/v2/(Users|Groups|ServiceProviderConfig)/(Users|Groups|ServiceProviderConfig|Schemas|ResourceTypes)\b", re.I
)


def reason_of(path: str, status: int, error: dict[str, Any]) -> str:
    """Return the code of a refusal, from the error that answers it (RFC 7644 §3.12)."""
    if DOUBLED_PATH.match(path):
        return "base_url_wrong"
    if error.get("detail") in BY_SENTENCE:
        return BY_SENTENCE[error["detail"]]
    scim_type = error.get("scimType")
    if scim_type in BY_SCIM_TYPE and status in (400, 409):
        return BY_SCIM_TYPE[scim_type]
    return BY_STATUS.get(status, "invalid_value")
