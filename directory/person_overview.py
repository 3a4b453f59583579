"""All that the page of one person shows, read from one snapshot."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from directory.group_lists import JoinedGroup, list_groups_of
from directory.person_explanation import PersonExplanation, explain_person
from directory.person_history import HistoryPage, list_person_history
from directory.role_sources import RoleSource, find_role_sources
from models import AdministrativeAct
from organizations.audit import find_latest_acts
from organizations.person import PersonOfOrganization, get_person

MAX_GROUPS = 100
HISTORY_SIZE = 20
# The acts by which somebody gives a role by hand, and by which somebody ends a membership.
ROLE_GIVEN = ("organization_membership.created", "organization_membership.updated")
MEMBERSHIP_ENDED = ("organization_membership.deleted",)


@dataclass(frozen=True)
class PersonOverview:
    """One person of an organization.

    ``explanation`` is None for whoever the directory does not have. ``groups``
    are the first of them; ``has_more_groups`` tells that there are others.
    ``role_given_by`` and ``ended_by`` are the acts of people, where there were any.
    """

    person: PersonOfOrganization
    explanation: PersonExplanation | None
    role_source: RoleSource | None
    role_given_by: AdministrativeAct | None
    ended_by: AdministrativeAct | None
    groups: Sequence[JoinedGroup]
    has_more_groups: bool
    history: HistoryPage


def get_person_overview(
    session: Session, organization_id: str, user_id: str, *, history_before: int | None = None
) -> PersonOverview:
    """Return all about one person that an organization may see.

    :param history_before: The place at which a page of the history ended, to go on from there.
    :raises NotFound: When the person is not, and never was, of this organization.
    """
    person = get_person(session, organization_id, user_id)
    groups = list_groups_of(session, organization_id, user_id, limit=MAX_GROUPS + 1)
    history = list_person_history(session, organization_id, user_id, limit=HISTORY_SIZE, before=history_before)
    member_ids = [person.member.membership_id] if person.member else []
    given = find_latest_acts(session, organization_id, member_ids, ROLE_GIVEN)
    ended = find_latest_acts(session, organization_id, member_ids, MEMBERSHIP_ENDED)
    return PersonOverview(
        person=person,
        explanation=explain_person(session, organization_id, user_id) if person.in_directory else None,
        role_source=find_role_sources(session, organization_id, [user_id]).get(user_id),
        role_given_by=next(iter(given.values()), None),
        ended_by=next(iter(ended.values()), None),
        groups=groups[:MAX_GROUPS],
        has_more_groups=len(groups) > MAX_GROUPS,
        history=history,
    )
