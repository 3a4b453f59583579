"""Members: who belongs to the organization, with which role, and why."""

from flask import Blueprint, render_template, request

from blueprints.profile.access import needs, signed_in
from blueprints.profile.forms import printable
from database import db
from organizations.members import search_members
from organizations.roles import MEMBERSHIPS_READ, PROVISIONING_READ

bp = Blueprint("members", __name__)

PAGE_SIZE = 50
SEARCH_LENGTH = 100


@bp.get("/organization/members")
@needs(MEMBERSHIPS_READ, PROVISIONING_READ)
def show_members() -> str:
    """Show one page of the active members, the latest first, or of those whom a search finds."""
    words = printable(request.args.get("q"))[:SEARCH_LENGTH]
    with db.reading() as session:
        page = search_members(
            session,
            signed_in().organization_id,
            words=words,
            limit=PAGE_SIZE,
            older_than=printable(request.args.get("older_than")) or None,
            newer_than=printable(request.args.get("newer_than")) or None,
        )
    return render_template("profile/members.html", page=page, words=words)
