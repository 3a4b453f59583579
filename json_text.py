"""JSON text as it is stored and sent: every character as itself, and no space between."""

from collections.abc import Callable
from json import JSONEncoder
from typing import Any

# Returns a value as JSON text. One encoder is kept: ``json.dumps`` makes one for each text that is not of its own form.
compact: Callable[[Any], str] = JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
