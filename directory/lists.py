"""How long the lists of a directory are, and whether their places still hold whom they held.

Both are kept with each creation and deletion, in its transaction, so that no page has to count or to walk to its place.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import bindparam, case, select, update
from sqlalchemy.orm import Session

from models import DirectoryList
from prepared import Prepared

THIS = (
    DirectoryList.organization_id == bindparam("organization"),
    DirectoryList.resource_type == bindparam("kind"),
)
LENGTH = Prepared(select(DirectoryList.total, DirectoryList.shifts).where(*THIS))
# What comes after everything that ever was in the list shifts nobody.
FOLLOWED = Prepared(
    update(DirectoryList)
    .where(*THIS)
    .values(
        total=DirectoryList.total + bindparam("more"),
        shifts=DirectoryList.shifts
        + bindparam("gone")
        + case((bindparam("first") <= DirectoryList.last_id, 1), else_=0),
        last_id=case((bindparam("last") > DirectoryList.last_id, bindparam("last")), else_=DirectoryList.last_id),
    )
)
COME, GONE = ("created", "restored"), ("deleted",)
MOVED = (*COME, *GONE)
# Beyond every id.
NOBODY = "~"


def follow_lists(session: Session, organization_id: str, effects: Iterable[Mapping[str, Any]]) -> None:
    """Write down who came into the lists of a directory and who left: ``effects`` are those of ``Directory.note``.

    The rows are locked until the transaction ends, so it is done last, users before groups.
    """
    moved = [effect for effect in effects if effect["action"] in MOVED]
    if not moved:
        return
    for kind in ("User", "Group"):
        come = [effect["id"] for effect in moved if effect["type"] == kind and effect["action"] in COME]
        gone = sum(effect["type"] == kind and effect["action"] in GONE for effect in moved)
        if come or gone:
            said = {"organization": organization_id, "kind": kind, "more": len(come) - gone, "gone": gone}
            FOLLOWED.run(session, {**said, "first": min(come, default=NOBODY), "last": max(come, default="")})


def find_length(session: Session, organization_id: str, kind: str) -> tuple[int, int] | None:
    """Return how many users or groups (``User``, ``Group``) a directory has, and how often their places shifted.

    None where that was never written down, of an organization that was not made as others are.
    """
    row = LENGTH.row(session, {"organization": organization_id, "kind": kind})
    return None if row is None else (row[0], row[1])
