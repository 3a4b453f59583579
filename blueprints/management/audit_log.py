"""The audit log: who did what by this API, on the pages and on the command line."""

from typing import Annotated

from pydantic import Field
from sqlalchemy.orm import Session

from blueprints.auth import require_reach
from blueprints.management.operations import operation, own_organization
from blueprints.management.requests import Page, PageQuery, Since, page
from organizations.audit import list_acts
from organizations.representations import AuditLogEntryObject, audit_log_entry_object


class AuditLogQuery(PageQuery):
    """Which acts are wanted."""

    organization_id: Annotated[str | None, Field(description="Only acts on this organization.")] = None
    actor: Annotated[str | None, Field(description="Only acts of this secret key, user or setup link, by id.")] = None
    action: Annotated[str | None, Field(description="Only this action, such as `scim_token.issued`.")] = None
    target_id: Annotated[str | None, Field(description="Only acts on this object, such as a SCIM token.")] = None
    since: Annotated[Since | None, Field(description="Only acts from this moment on, in Unix milliseconds.")] = None
    until: Annotated[Since | None, Field(description="Only acts before this moment, in Unix milliseconds.")] = None


@operation("list_audit_log", "GET", "/audit-log", tag="Audit log", errors={404: "There is no organization of this id."})
def list_all(session: Session, query: AuditLogQuery) -> Page[AuditLogEntryObject]:
    """List administrative acts, the latest first.

    A key of one organization sees only those on its own.
    """
    if query.organization_id is not None:
        require_reach(query.organization_id)
    found = list_acts(
        session,
        query.organization_id or own_organization(),
        limit=query.limit + 1,
        before=query.cursor,
        actor_id=query.actor,
        action=query.action,
        target_id=query.target_id,
        since=query.since,
        until=query.until,
    )
    return page(found, query.limit, audit_log_entry_object, lambda act: act.id)
