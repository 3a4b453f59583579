"""Rate limits: one limiter over Redis, shared by every web process."""

from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

limiter = Limiter(get_remote_address)
