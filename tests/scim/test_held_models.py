"""Models that pydantic builds at run time and holds weakly."""

import gc
import weakref
from typing import Any, Union

from scim2_models import PatchOp, ResponseParameters, SearchRequest
from scim2_server.utils import parametrize

from scim.provider import make_provider
from scim.service import DirectoryService


def test_a_full_collection_forgets_no_model_of_a_search_a_patch_or_chosen_attributes() -> None:
    service = DirectoryService(make_provider(), secret="x" * 32)
    models: list[Any] = service.search_models(list(service.provider.resource_types))
    messages: list[tuple[type[Any], Any]] = [
        (kind, model) for kind in (PatchOp, ResponseParameters) for model in models
    ]
    messages += [(SearchRequest, searched) for searched in [*models, Union[tuple(models)]]]  # noqa: UP007
    built = [weakref.ref(parametrize(*message)) for message in messages]
    gc.collect()
    assert [model() is not None for model in built] == [True] * 7
