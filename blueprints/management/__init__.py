"""``/v1``: what the product's backend talks to, with a secret key. One module for each noun."""

from flask import Blueprint

from blueprints.auth import require_key_holder

bp = Blueprint("management", __name__)


@bp.before_request
def authenticate() -> None:
    """Let only bearers of a valid secret key pass, on every route of this blueprint."""
    require_key_holder()


from blueprints.management import (  # noqa: E402  (the modules register their routes on bp)
    activity,
    attribute_mappings,
    audit_log,
    directory_users,
    events,
    memberships,
    organizations,
    scim_tokens,
    webhook_deliveries,
    webhook_endpoints,
)

__all__ = [
    "activity",
    "attribute_mappings",
    "audit_log",
    "bp",
    "directory_users",
    "events",
    "memberships",
    "organizations",
    "scim_tokens",
    "webhook_deliveries",
    "webhook_endpoints",
]
