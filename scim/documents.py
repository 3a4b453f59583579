"""Stored documents as answers. A read puts stored text into the answer and builds no model."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clock import to_rfc3339

LIST_RESPONSE = "urn:ietf:params:scim:api:messages:2.0:ListResponse"


@dataclass(frozen=True)
class StoredDocument:
    """A resource as it is read: its stored text, and what is spliced in.

    ``computed`` is ``groups`` or ``members``, each ``$ref`` relative to the SCIM base URL.
    """

    resource_type: str
    id: str
    text: str
    version: int
    created_at: int
    last_modified_at: int
    computed: dict[str, list[dict[str, Any]]]

    @property
    def etag(self) -> str:
        """The weak entity tag of the resource (RFC 7644 §3.14)."""
        return etag_of(self.version)

    def path(self) -> str:
        """The path of the resource below the SCIM base URL."""
        return f"{self.resource_type}s/{self.id}"

    def render(self, base_url: str) -> str:
        """Return the whole resource as JSON text."""
        meta = {
            "resourceType": self.resource_type,
            "created": to_rfc3339(self.created_at),
            "lastModified": to_rfc3339(self.last_modified_at),
            "location": f"{base_url}/{self.path()}",
            "version": self.etag,
        }
        computed = {
            name: [{**item, "$ref": f"{base_url}/{item['$ref']}"} for item in items]
            for name, items in self.computed.items()
        }
        added = json.dumps({"id": self.id, **computed, "meta": meta}, ensure_ascii=False, separators=(",", ":"))
        # Both are objects, and a stored one is never empty: it has its schemas.
        return f"{self.text[:-1]},{added[1:]}"


def etag_of(version: int) -> str:
    """Return the entity tag of a stored version."""
    return f'W/"{version}"'


def version_of(etag: str) -> int:
    """Return the stored version of an entity tag that ``etag_of`` gave."""
    return int(etag.removeprefix('W/"').removesuffix('"'))


def render_list(documents: Sequence[StoredDocument], base_url: str, *, total: int, start_index: int) -> str:
    """Return a ListResponse as JSON text (RFC 7644 §3.4.2); always complete, with integers."""
    resources = ",".join(document.render(base_url) for document in documents)
    return (
        f'{{"schemas":["{LIST_RESPONSE}"],"totalResults":{total},"startIndex":{start_index},'
        f'"itemsPerPage":{len(documents)},"Resources":[{resources}]}}'
    )
