"""``/v1``: what the product's backend talks to, with a secret key. One module for each noun."""

from flask import Blueprint, current_app
from flask_limiter.util import get_remote_address

from blueprints.arrivals import this_request
from blueprints.auth import usable_key_holder
from blueprints.limits import limiter

bp = Blueprint("management", __name__)


def key_id() -> str:
    """Return under which secret key this request is counted."""
    holder = this_request().key_holder
    assert holder is not None
    return holder.key_id


limiter.shared_limit(
    lambda: current_app.config["API_RATE_LIMIT"],
    scope="management",
    key_func=key_id,
    exempt_when=lambda: usable_key_holder() is None,
)(bp)
limiter.shared_limit(
    lambda: current_app.config["FAILED_AUTH_RATE_LIMIT"],
    scope="management-failed-authentication",
    key_func=get_remote_address,
    exempt_when=lambda: usable_key_holder() is not None,
    deduct_when=lambda response: response.status_code == 401,
)(bp)


from blueprints.management import (  # noqa: E402  (the modules register their routes on bp)
    activity,
    attribute_mappings,
    audit_log,
    directory,
    directory_groups,
    directory_users,
    enterprise_connections,
    events,
    memberships,
    openapi,
    organizations,
    roles,
    scim_tokens,
    secret_keys,
    setup_links,
    sign_in_links,
    users,
    webhook_deliveries,
    webhook_endpoints,
)

__all__ = [
    "activity",
    "attribute_mappings",
    "audit_log",
    "bp",
    "directory",
    "directory_groups",
    "directory_users",
    "enterprise_connections",
    "events",
    "memberships",
    "openapi",
    "organizations",
    "roles",
    "scim_tokens",
    "secret_keys",
    "setup_links",
    "sign_in_links",
    "users",
    "webhook_deliveries",
    "webhook_endpoints",
]
