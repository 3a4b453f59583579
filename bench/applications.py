"""What the product is compared with, to be run by the same gunicorn: nothing but Flask, and another SCIM server.

``PEOPLE`` in the environment is how many people the other server has from the start.
"""

import os

from flask import Flask, Response
from scim2_models import EnterpriseUser, Group, ResourceType, ScimProvider, ServiceProviderConfig, User
from scim2_server.applications.wsgi import WSGIApplication
from scim2_server.memory import InMemoryStorage

from bench.scim_works import OPERATIONS, person

TEXT = (
    '{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"nadia@acme.example","name":{"givenName":'
    '"Nadia","familyName":"Petrov"},"emails":[{"primary":true,"value":"nadia@acme.example","type":"work"}],'
    '"displayName":"Nadia Petrov","locale":"en-US","externalId":"00u1","active":true,"id":"%s","meta":{"resourceType":'
    '"User","created":"2026-01-31T09:30:00.125000Z","lastModified":"2026-01-31T09:30:00.125000Z","location":'
    '"https://scim.example.com/scim/v2/Users/%s","version":"W/\\"1\\""}}'
)


def bare() -> Flask:
    """Return an application with one route, which answers a person of the usual size and looks nothing up."""
    app = Flask("bare")

    @app.get("/scim/v2/Users/<resource_id>")
    def read(resource_id: str) -> Response:
        return Response(TEXT % (resource_id, resource_id), content_type="application/scim+json")

    return app


def in_memory() -> WSGIApplication:
    """Return scim2-server with its storage in memory. Its ids are numbered, so that the benchmark knows them."""
    provider = _provider()
    storage = NumberedStorage()
    application = WSGIApplication(storage, provider)
    user_type = provider.resource_types[0]
    with provider:
        model = application.service.get_model(user_type)
        for number in range(int(os.environ.get("PEOPLE", "0"))):
            storage.create(user_type, model.model_validate(person(f"p{number}")))
    return application


class NumberedStorage(InMemoryStorage):
    """The library's storage; the ids are ``1``, ``2`` and so on."""

    def generate_id(self, resource_type: ResourceType, resource: object) -> str:  # noqa: ARG002
        """Return the next number."""
        return str(len(self._resources.get(resource_type.name, {})) + 1)


def _provider() -> ScimProvider:
    config = ServiceProviderConfig.model_validate(
        {
            "patch": {"supported": True},
            "bulk": {"supported": True, "maxOperations": OPERATIONS, "maxPayloadSize": 1_048_576},
            "filter": {"supported": True, "maxResults": 200},
            "changePassword": {"supported": False},
            "sort": {"supported": True},
            "etag": {"supported": True},
            "authenticationSchemes": [],
        }
    )
    return ScimProvider(
        models=[User, EnterpriseUser, Group],
        resource_types=[ResourceType.from_resource(User[EnterpriseUser]), ResourceType.from_resource(Group)],
        config=config,
    )
