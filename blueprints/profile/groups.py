"""Groups: what the IdP pushed, who is in it, and which role the attribute mapping makes of it."""

from flask import Blueprint, render_template, request

from blueprints.profile.access import needs, signed_in
from blueprints.profile.forms import printable
from database import db
from directory.group_lists import count_members, get_listed_group, list_group_members, list_groups
from directory.mappings import read_mapping
from directory.role_sources import role_of_group
from directory.roles import KnownRoles
from organizations.roles import PROVISIONING_MANAGE, PROVISIONING_READ

bp = Blueprint("groups", __name__, url_prefix="/organization/groups")

PAGE_SIZE = 25
MEMBERS_PAGE_SIZE = 50
SEARCH_LENGTH = 100


@bp.get("")
@needs(PROVISIONING_READ, PROVISIONING_MANAGE)
def show_groups() -> str:
    """Show one page of the groups by name, or of those whom a search finds, with the role that each gives."""
    words, organization_id = printable(request.args.get("q"))[:SEARCH_LENGTH], signed_in().organization_id
    with db.reading() as session:
        page = list_groups(
            session,
            organization_id,
            words=words,
            limit=PAGE_SIZE,
            before=printable(request.args.get("before")) or None,
            after=printable(request.args.get("after")) or None,
        )
        mapping, roles = read_mapping(session, organization_id), KnownRoles.read(session)
        given = {group.id: role_of_group(mapping, roles, group) for group in page.groups}
        session.expunge_all()
    return render_template(
        "profile/groups.html", page=page, words=words, given=given, mapping=mapping, default_role=roles.standing
    )


@bp.get("/<group_id>")
@needs(PROVISIONING_READ, PROVISIONING_MANAGE)
def show_group(group_id: str) -> str:
    """Show one group: its role, and one page of its members, the latest to join first."""
    organization_id = signed_in().organization_id
    with db.reading() as session:
        group = get_listed_group(session, organization_id, group_id)
        page = list_group_members(
            session,
            organization_id,
            group_id,
            limit=MEMBERS_PAGE_SIZE,
            earlier_than=printable(request.args.get("earlier_than")),
            later_than=printable(request.args.get("later_than")),
        )
        count = count_members(session, organization_id, [group_id])[group_id]
        mapping, roles = read_mapping(session, organization_id), KnownRoles.read(session)
        given = role_of_group(mapping, roles, group)
        session.expunge_all()
    return render_template(
        "profile/group.html",
        group=group,
        page=page,
        count=count,
        given=given,
        mapping=mapping,
        default_role=roles.standing,
        role_names={key: role.name for key, role in roles.by_key.items()},
    )
