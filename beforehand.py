"""What is loaded before everything else, and how, so that a program starts in half of the time.

Pydantic looks for the docstrings of each model through all that is being called at that moment and all modules that
are loaded by then: for most models of the SCIM library, which are made out of others, in vain. Here is little of both.
"""

import gc
from importlib import import_module
from threading import Thread

# Hardly anything of what is made while modules are loaded can go. ``app.py`` ends this when all of them are.
gc.disable()

# A thread, because its stack begins here, whoever loads this. A failure is shown, and met again by whoever asks next.
loading = Thread(target=import_module, args=("scim2_server.service",))
loading.start()
loading.join()
