"""The people of an organization's directory."""

from sqlalchemy.orm import Session

from blueprints.management.operations import operation
from directory.person_explanation import PersonExplanation, explain_person


@operation(
    "explain_directory_user",
    "GET",
    "/organizations/<organization_id>/scim/users/<user_id>/explanation",
    tag="Directory",
)
def explain(session: Session, organization_id: str, user_id: str) -> PersonExplanation:
    """Tell where each field and the role of a person come from.

    For each: the path, the raw value, the expression, the result, and when.
    """
    return explain_person(session, organization_id, user_id)
