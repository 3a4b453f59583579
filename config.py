"""Every setting, read once from the environment. A bad one stops the start with a sentence.

``NAME_FILE`` names a file that holds the value of ``NAME``, as secrets are mounted by
container platforms. ``docs/settings.md`` lists all settings.
"""

import hashlib
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from limits import parse as parse_rate
from limits import parse_many as parse_rates
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

T = TypeVar("T")
Network = IPv4Network | IPv6Network

# A Unix socket path longer than this is refused by the kernel (sun_path, 108 bytes with the final NUL).
MAX_SOCKET_PATH = 100
# RQ asks Redis who is connected, and that answer cannot be read when a path in it holds a space or an equals sign.
SOCKET_PATH = re.compile(r"[\w./-]+", re.ASCII)
MAX_RETENTION_DAYS = 36_500


class ConfigurationError(SystemExit):
    """A setting that cannot work; its text says which, why, and what to write instead.

    As a ``SystemExit`` it stops whatever was being started (flask, gunicorn, a
    script) with that text on standard error and status 1, without a traceback.
    """


@dataclass(frozen=True)
class Settings:
    """The settings of one deployment."""

    data_dir: Path
    host: str
    port: int
    public_url: str
    trusted_proxies: int
    database_url: str
    redis_url: str
    embedded_redis: bool
    secret_key: str
    secret_key_fallbacks: tuple[str, ...]
    web_concurrency: int
    worker_concurrency: int
    scim_rate_limit: str
    api_rate_limit: str
    scim_bulk_max_operations: int
    scim_bulk_max_payload_size: int
    failed_auth_rate_limit: str
    webhook_allow_http: bool
    webhook_allowed_networks: tuple[Network, ...]
    session_hours: int
    session_idle_minutes: int
    fresh_proof_minutes: int
    password_sign_in: bool
    password_rate_limit: str
    sweep_seconds: float
    log_level: str
    log_format: str
    metrics_token: str | None
    event_retention_days: int
    activity_retention_days: int
    tombstone_retention_days: int
    activity_bodies: bool

    @property
    def scim_endpoint_url(self) -> str:
        """The SCIM base URL that an IT admin pastes into the IdP, with its final slash."""
        return f"{self.public_url}/scim/v2/"

    @property
    def accepted_bulk_operations(self) -> int:
        """The most operations in one Bulk request; never more than the rate limit lets pass at once."""
        return min(self.scim_bulk_max_operations, parse_rate(self.scim_rate_limit).amount)

    @property
    def redis_socket(self) -> Path:
        """The socket of the embedded Redis."""
        return embedded_redis_socket(self.data_dir)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read the settings.

        :raises ConfigurationError: When one cannot work.
        """
        env = _Environment(os.environ if environ is None else environ)
        data_dir = env.get("DATA_DIR", "instance", _directory)
        host = env.get("HOST", "127.0.0.1", str)
        port = env.get("PORT", "8000", _port)
        shown_host = "localhost" if host in ("0.0.0.0", "::", "") else host  # noqa: S104
        redis_url = env.optional("REDIS_URL", _redis_url)
        return cls(
            data_dir=data_dir,
            host=host,
            port=port,
            public_url=env.get("PUBLIC_URL", f"http://{shown_host}:{port}", _public_url),
            trusted_proxies=env.get("TRUSTED_PROXIES", "0", _proxies),
            database_url=env.get("DATABASE_URL", f"sqlite:///{data_dir / 'authn_scim.db'}", _database_url),
            redis_url=redis_url or f"unix://{embedded_redis_socket(data_dir)}",
            embedded_redis=redis_url is None,
            secret_key=env.optional("SECRET_KEY", _secret_key) or _kept_secret_key(data_dir),
            secret_key_fallbacks=env.get("SECRET_KEY_FALLBACKS", "", _secret_keys),
            web_concurrency=env.get("WEB_CONCURRENCY", "2", _at_least_one),
            worker_concurrency=env.get("WORKER_CONCURRENCY", "2", _at_least_one),
            scim_rate_limit=env.get("SCIM_RATE_LIMIT", "100 per second", _rate),
            api_rate_limit=env.get("API_RATE_LIMIT", "100 per second", _rate),
            scim_bulk_max_operations=env.get("SCIM_BULK_MAX_OPERATIONS", "100", _at_least_one),
            scim_bulk_max_payload_size=env.get("SCIM_BULK_MAX_PAYLOAD_SIZE", str(1024 * 1024), _at_least_one),
            failed_auth_rate_limit=env.get("FAILED_AUTH_RATE_LIMIT", "300 per minute", _rate),
            webhook_allow_http=env.get("WEBHOOK_ALLOW_HTTP", "0", _flag),
            webhook_allowed_networks=env.get("WEBHOOK_ALLOWED_NETWORKS", "", _networks),
            session_hours=env.get("SESSION_HOURS", "12", _from_one_to(24 * 30)),
            session_idle_minutes=env.get("SESSION_IDLE_MINUTES", "120", _from_one_to(60 * 24 * 30)),
            fresh_proof_minutes=env.get("FRESH_PROOF_MINUTES", "30", _from_one_to(60 * 24 * 30)),
            password_sign_in=env.get("PASSWORD_SIGN_IN", "1", _flag),
            password_rate_limit=env.get("PASSWORD_RATE_LIMIT", "10 per 15 minutes", _rate),
            sweep_seconds=env.get("SWEEP_SECONDS", "5", _positive_seconds),
            log_level=env.get("LOG_LEVEL", "warning", _one_of("debug", "info", "warning", "error")),
            log_format=env.get("LOG_FORMAT", "text", _one_of("text", "json")),
            metrics_token=env.optional("METRICS_TOKEN", _metrics_token),
            event_retention_days=env.get(
                "EVENT_RETENTION_DAYS", "90", _days_from(3, "Webhooks are tried again for two days.")
            ),
            activity_retention_days=env.get("ACTIVITY_RETENTION_DAYS", "90", _days_from(1)),
            tombstone_retention_days=env.get("TOMBSTONE_RETENTION_DAYS", "365", _days_from(1)),
            activity_bodies=env.get("ACTIVITY_BODIES", "1", _flag),
        )


class _Environment:
    """Reads one setting at a time, from ``NAME`` or from the file that ``NAME_FILE`` names."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ

    def raw(self, name: str) -> str | None:
        file = self.environ.get(f"{name}_FILE")
        if not file:
            return self.environ.get(name) or None
        if self.environ.get(name):
            raise ConfigurationError(f"{name} and {name}_FILE are both set. Keep one of them.")
        try:
            return Path(file).read_text(encoding="utf-8").strip() or None
        except OSError as error:
            raise ConfigurationError(f"{name}_FILE names {file!r}, which cannot be read: {error.strerror}.") from error

    def get(self, name: str, default: str, read: Callable[[str], T]) -> T:
        value = self.raw(name)
        return self.parse(name, default if value is None else value, read)

    def optional(self, name: str, read: Callable[[str], T]) -> T | None:
        value = self.raw(name)
        return None if value is None else self.parse(name, value, read)

    @staticmethod
    def parse(name: str, value: str, read: Callable[[str], T]) -> T:
        try:
            return read(value)
        except ValueError as error:
            raise ConfigurationError(f"{name} is not usable: {error}") from error


def embedded_redis_socket(data_dir: Path) -> Path:
    """Return the socket of the embedded Redis: in the data directory, or elsewhere where that path is of no use."""
    socket = data_dir / "redis.sock"
    if len(os.fsencode(socket)) <= MAX_SOCKET_PATH and SOCKET_PATH.fullmatch(str(socket)):
        return socket
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"authn-scim-{digest}.sock"


def _directory(value: str) -> Path:
    path = Path(value).expanduser().resolve()
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ValueError(f"the directory {path} cannot be made ({error.strerror}).") from error
    return path


def _port(value: str) -> int:
    if not value.isascii() or not value.isdigit() or not 1 <= int(value) <= 65535:
        raise ValueError(f"{value!r} is no port. Give a number from 1 to 65535.")
    return int(value)


def _public_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        is_address = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is none, half an IPv6 address
        is_address = False
    # It stands in links, in the documents of the API, and in headers.
    odd = not value.isprintable() or any(character in " \\\"'<>@?#" for character in value)
    if odd or not is_address:
        raise ValueError(f"{value!r} is no web address. Give one such as https://scim.example.com.")
    return value.rstrip("/")


def _database_url(value: str) -> str:
    try:
        url = make_url(value)
    except ArgumentError:
        raise ValueError(
            "it is no database URL. Give sqlite:///path/to/file.db or postgresql://user:password@host/name."
        ) from None
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() == "sqlite":
        if not url.database or url.database == ":memory:":
            raise ValueError("SQLite needs a file, because several processes share it: sqlite:///path/to/file.db.")
    elif url.drivername != "postgresql+psycopg":
        raise ValueError(f"{url.drivername!r} is not supported. Use sqlite:// or postgresql://.")
    return url.render_as_string(hide_password=False)


def _redis_url(value: str) -> str:
    if urlsplit(value).scheme not in ("redis", "rediss", "unix"):
        raise ValueError("it is no Redis URL. Give redis://host:6379/0, rediss://… or unix:///path/to/redis.sock.")
    return value


def _secret_key(value: str) -> str:
    if len(value) < 32:
        raise ValueError(
            "it is shorter than 32 characters. Make one: python -c 'import secrets; print(secrets.token_hex(32))'."
        )
    return value


def _secret_keys(value: str) -> tuple[str, ...]:
    """Return former keys, one on each line: a key may hold any other character."""
    return tuple(_secret_key(line) for line in value.splitlines() if line.strip())


def _kept_secret_key(data_dir: Path) -> str:
    """Return the key kept in the data directory, made at the first start. Several machines need ``SECRET_KEY``."""
    path = data_dir / "secret_key"
    if not path.exists():
        # Written aside and linked into place, so that of several processes at once one wins and none reads half a key.
        draft = data_dir / f"secret_key.{secrets.token_hex(8)}"
        draft.touch(mode=0o600, exist_ok=False)
        draft.write_text(secrets.token_hex(32), encoding="ascii")
        with suppress(FileExistsError):  # another process was first; its key is the one to read
            os.link(draft, path)
        draft.unlink()
    try:
        return _secret_key(path.read_text(encoding="ascii").strip())
    except ValueError:  # with no key at all, anybody could sign a session, and read the webhook secrets
        raise ConfigurationError(
            f"{path} holds no usable key. Put it back from a backup, or give the key as SECRET_KEY."
        ) from None


def _at_least_one(value: str) -> int:
    if not value.isascii() or not value.isdigit() or int(value) < 1:
        raise ValueError(f"{value!r} is no whole number. Give 1 or more.")
    return int(value)


def _from_one_to(highest: int) -> Callable[[str], int]:
    def read(value: str) -> int:
        if not value.isascii() or not value.isdigit() or len(value) > 9 or not 1 <= int(value) <= highest:
            raise ValueError(f"{value!r} is no whole number from 1 to {highest}.")
        return int(value)

    return read


def _proxies(value: str) -> int:
    if not value.isascii() or not value.isdigit() or int(value) > 9:
        raise ValueError(f"{value!r} is no number of proxies. Give how many stand in front of the server, 0 to 9.")
    return int(value)


def _days_from(least: int, why: str = "") -> Callable[[str], int]:
    def read(value: str) -> int:
        if not value.isascii() or not value.isdigit() or not least <= int(value[:9]) <= MAX_RETENTION_DAYS:
            raise ValueError(f"{value!r} is no number of days from {least} to {MAX_RETENTION_DAYS}. {why}".rstrip())
        return int(value)

    return read


def _rate(value: str) -> str:
    try:
        rates = parse_rates(value)
    except ValueError:
        rates = []
    if len(rates) != 1 or rates[0].amount < 1:
        raise ValueError(f'{value!r} is no rate. Write it as "100 per second".')
    return value


def _metrics_token(value: str) -> str:
    if len(value) < 16:
        raise ValueError("it is shorter than 16 characters.")
    return value


def _one_of(*values: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value.lower() not in values:
            raise ValueError(f"{value!r} is none of {', '.join(values)}.")
        return value.lower()

    return read


def _flag(value: str) -> bool:
    if value not in ("0", "1"):
        raise ValueError(f"{value!r} is neither 0 nor 1.")
    return value == "1"


def _networks(value: str) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(part.strip()) for part in value.split(",") if part.strip())
    except ValueError as error:
        raise ValueError(f"{error}. Give networks such as 127.0.0.0/8, separated by commas.") from None


def _positive_seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 3600:
        raise ValueError(f"{value!r} is no number of seconds between 0 and 3600.")
    return seconds
