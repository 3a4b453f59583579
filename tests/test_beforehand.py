"""How a program starts."""

import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT, clean_environment

# Loads the application out of a function, and prints for which models pydantic looked for docstrings there as well.
OUT_OF_A_FUNCTION = """
import gc, inspect, sys
looked_for = set()
get_module = inspect.getmodule

def note(frame, *rest):
    if inspect.isframe(frame) and frame.f_code is load.__code__:
        caller = sys._getframe(1)
        while "cls" not in caller.f_locals:
            caller = caller.f_back
        looked_for.add(caller.f_locals["cls"].__name__)
    return get_module(frame, *rest)

def load():
    inspect.getmodule = note
    import app

load()
print(*looked_for, gc.isenabled())
"""


def test_what_calls_a_program_hardly_delays_its_start_and_afterwards_memory_is_collected(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OUT_OF_A_FUNCTION]
    environ = clean_environment(tmp_path)
    loaded = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=True)
    assert loaded.stdout == "User[EnterpriseUser] True\n"
