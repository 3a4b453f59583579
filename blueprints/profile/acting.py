"""Under whose name the acts of a page are written down."""

from blueprints.errors import trace_id
from blueprints.profile.access import signed_in
from organizations.audit import Actor


def acting() -> Actor:
    """Return who an act of this request is written down under: the member who is signed in."""
    member = signed_in()
    return Actor("member", member.user_id, member.email_address or member.session_id, trace_id())
