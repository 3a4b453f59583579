"""Stored documents as answers. A read puts stored text into the answer and builds no model."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from clock import to_rfc3339
from directory.resources import dump, load
from scim.projection import Projection

LIST_RESPONSE = "urn:ietf:params:scim:api:messages:2.0:ListResponse"


# What is computed where nothing is.
NOTHING: dict[str, list[dict[str, Any]]] = {}


@dataclass(slots=True)
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

    def showing(self, computed: dict[str, list[dict[str, Any]]]) -> "StoredDocument":
        """Return the same resource with this spliced in."""
        return StoredDocument(
            self.resource_type, self.id, self.text, self.version, self.created_at, self.last_modified_at, computed
        )

    def path(self) -> str:
        """The path of the resource below the SCIM base URL."""
        return f"{self.resource_type}s/{self.id}"

    def render(self, base_url: str, projection: Projection | None = None) -> str:
        """Return the resource as JSON text: all of it, or what a projection chooses.

        Beside what is stored it has ``id``, what is computed, and ``meta`` (RFC 7643 §3.1).
        """
        kind, id_ = self.resource_type, self.id
        created = to_rfc3339(self.created_at)
        modified = created if self.last_modified_at == self.created_at else to_rfc3339(self.last_modified_at)
        # What is stored is an object as well, and never empty: it has its schemas.
        text = (
            f'{self.text[:-1]},"id":"{id_}",{self._computed_text(base_url) if self.computed else ""}'
            f'"meta":{{"resourceType":"{kind}","created":"{created}","lastModified":"{modified}",'
            f'"location":"{_escaped(base_url)}/{kind}s/{id_}","version":"W/\\"{self.version}\\""}}}}'
        )
        return text if projection is None else dump(projection.of(load(text)))

    def _computed_text(self, base_url: str) -> str:
        """Return the members of the object that are computed, with a comma after them."""
        computed = {
            name: [{**item, "$ref": f"{base_url}/{item['$ref']}"} for item in items]
            for name, items in self.computed.items()
        }
        return f"{dump(computed)[1:-1]},"


@cache
def _escaped(base_url: str) -> str:
    """Return a URL, of which there is one in a deployment, as it stands in JSON."""
    return json.dumps(base_url, ensure_ascii=False)[1:-1]


def etag_of(version: int) -> str:
    """Return the entity tag of a stored version."""
    return f'W/"{version}"'


def version_of(etag: str) -> int:
    """Return the stored version of an entity tag that ``etag_of`` gave."""
    return int(etag.removeprefix('W/"').removesuffix('"'))


def render_list(
    documents: Sequence[StoredDocument], base_url: str, projections: Mapping[str, Projection | None], **numbers: Any
) -> str:
    """Return a ListResponse as JSON text (RFC 7644 §3.4.2).

    :param numbers: Its numbers and cursors, such as ``totalResults``; those that are None are left out.
    """
    resources = ",".join([document.render(base_url, projections[document.resource_type]) for document in documents])
    given = {name: value for name, value in numbers.items() if value is not None}
    head = dump({"schemas": [LIST_RESPONSE], **given, "itemsPerPage": len(documents)})
    return f'{head[:-1]},"Resources":[{resources}]}}'
