"""Settings: what they default to, and the sentence with which each bad one stops the start."""

import os
import re
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network
from pathlib import Path

import pytest

from config import ConfigurationError, Settings, embedded_redis_socket
from tests.conftest import ROOT, SECRET_KEY

Read = Callable[..., Settings]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read settings from nothing but the given ones and a data directory."""
    return lambda **environ: Settings.from_environment({"DATA_DIR": str(tmp_path), **environ})


def test_the_defaults_need_no_other_service(read: Read, tmp_path: Path) -> None:
    settings = read()
    assert settings.public_url == "http://127.0.0.1:8000"
    assert settings.scim_endpoint_url == "http://127.0.0.1:8000/scim/v2/"
    assert settings.database_url == f"sqlite:///{tmp_path / 'authn_scim.db'}"
    assert (settings.embedded_redis, settings.redis_url) == (True, f"unix://{tmp_path / 'redis.sock'}")
    assert settings.scim_rate_limit == "100 per second"
    assert settings.webhook_allow_http is False
    assert settings.webhook_allowed_networks == ()


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("PORT", "eighty", "'eighty' is no port"),
        ("PORT", "0", "from 1 to 65535"),
        ("PORT", "65536", "from 1 to 65535"),
        ("PORT", "٨٠", "is no port"),
        ("PUBLIC_URL", "acme.authn.sh", "is no web address"),
        ("PUBLIC_URL", "ftp://acme.authn.sh", "is no web address"),
        ("PUBLIC_URL", "https://acme.authn.sh/?x=1", "is no web address"),
        ("PUBLIC_URL", "https://acme authn.sh", "is no web address"),
        ("PUBLIC_URL", "https://ada:secret@acme.authn.sh", "is no web address"),
        ("PUBLIC_URL", "https://acme.authn.sh:99999", "is no web address"),
        ("PUBLIC_URL", "https://acme\n.authn.sh", "is no web address"),
        ("PUBLIC_URL", 'https://acme.authn.sh/"><script>', "is no web address"),
        ("PUBLIC_URL", "https://[::1", "is no web address"),
        ("PASSWORD_RATE_LIMIT", "0 per minute", "is no rate"),
        ("PASSWORD_RATE_LIMIT", "5 per minute; 20 per day", "is no rate"),
        ("TRUSTED_PROXIES", "one", "no number of proxies"),
        ("TRUSTED_PROXIES", "-1", "0 to 9"),
        ("DATABASE_URL", "not a url", "no database URL"),
        ("DATABASE_URL", "mysql://host/name", "is not supported"),
        ("DATABASE_URL", "sqlite://", "SQLite needs a file"),
        ("DATABASE_URL", "sqlite:///:memory:", "SQLite needs a file"),
        ("REDIS_URL", "localhost:6379", "no Redis URL"),
        ("SECRET_KEY", "short", "shorter than 32 characters"),
        ("SECRET_KEY_FALLBACKS", f"{SECRET_KEY}\nshort", "shorter than 32 characters"),
        ("WEB_CONCURRENCY", "0", "Give 1 or more"),
        ("WEB_CONCURRENCY", "many", "Give 1 or more"),
        ("WORKER_CONCURRENCY", "-1", "Give 1 or more"),
        ("SCIM_RATE_LIMIT", "a lot", "is no rate"),
        ("FAILED_AUTH_RATE_LIMIT", "10", "is no rate"),
        ("WEBHOOK_ALLOW_HTTP", "yes", "neither 0 nor 1"),
        ("WEBHOOK_ALLOWED_NETWORKS", "10.0.0.0/33", "Give networks such as"),
        ("WEBHOOK_ALLOWED_NETWORKS", "10.0.0.1/8", "Give networks such as"),
        ("METRICS_TOKEN", "short", "shorter than 16 characters"),
        ("LOG_LEVEL", "loud", "none of debug, info, warning, error"),
        ("LOG_FORMAT", "xml", "none of text, json"),
        ("SCIM_BULK_MAX_OPERATIONS", "0", "Give 1 or more"),
        ("SCIM_BULK_MAX_PAYLOAD_SIZE", "1 MiB", "Give 1 or more"),
        ("EVENT_RETENTION_DAYS", "2", "from 3 to"),
        ("EVENT_RETENTION_DAYS", "for ever", "no number of days"),
        ("SWEEP_SECONDS", "0", "no number of seconds"),
        ("SWEEP_SECONDS", "nan", "no number of seconds"),
    ],
)
def test_a_bad_setting_stops_the_start_with_a_sentence(read: Read, name: str, value: str, reason: str) -> None:
    with pytest.raises(ConfigurationError) as stopped:
        read(**{name: value})
    assert str(stopped.value).startswith(f"{name} is not usable: ")
    assert reason in str(stopped.value)
    assert str(stopped.value).endswith(".")


def test_a_bad_database_url_is_not_repeated_with_its_password(read: Read) -> None:
    with pytest.raises(ConfigurationError) as stopped:
        read(DATABASE_URL="postgresq l://admin:hunter2@host/name")
    assert "hunter2" not in str(stopped.value)


def test_a_data_directory_that_cannot_be_made_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"DATA_DIR is not usable: the directory .* cannot be made"):
        Settings.from_environment({"DATA_DIR": str(tmp_path / "file" / "below")})


def test_a_new_data_directory_is_closed_to_other_users(tmp_path: Path) -> None:
    Settings.from_environment({"DATA_DIR": str(tmp_path / "new")})
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_a_setting_can_stand_in_a_file(read: Read, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET_KEY}\n")
    assert read(SECRET_KEY_FILE=str(tmp_path / "secret")).secret_key == SECRET_KEY


def test_a_setting_and_its_file_contradict_each_other(read: Read, tmp_path: Path) -> None:
    (tmp_path / "port").write_text("8001")
    with pytest.raises(ConfigurationError, match="PORT and PORT_FILE are both set"):
        read(PORT="8000", PORT_FILE=str(tmp_path / "port"))


def test_a_file_that_cannot_be_read_stops_the_start(read: Read, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"SECRET_KEY_FILE names .* cannot be read"):
        read(SECRET_KEY_FILE=str(tmp_path / "none"))


def test_an_empty_setting_is_as_good_as_none(read: Read) -> None:
    assert read(PORT="", REDIS_URL="", SECRET_KEY="").port == 8000


def test_no_more_bulk_operations_are_accepted_than_the_rate_limit_lets_pass_at_once(read: Read) -> None:
    assert read().accepted_bulk_operations == 100
    assert read(SCIM_BULK_MAX_OPERATIONS="1000").accepted_bulk_operations == 100
    assert read(SCIM_BULK_MAX_OPERATIONS="1000", SCIM_RATE_LIMIT="5000/minute").accepted_bulk_operations == 1000
    assert read(SCIM_RATE_LIMIT="5 per second").accepted_bulk_operations == 5


def test_the_public_url_follows_the_address_that_is_listened_on(read: Read) -> None:
    assert read(HOST="0.0.0.0", PORT="9000").public_url == "http://localhost:9000"
    assert read(HOST="10.1.2.3", PORT="9000").public_url == "http://10.1.2.3:9000"
    assert read(PUBLIC_URL="https://acme.authn.sh/").scim_endpoint_url == "https://acme.authn.sh/scim/v2/"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgresql_is_meant_by_any_of_its_names(read: Read, scheme: str) -> None:
    settings = read(DATABASE_URL=f"{scheme}://user:p%40ss@host/name")
    assert settings.database_url == "postgresql+psycopg://user:p%40ss@host/name"


def test_former_keys_stand_one_on_each_line(read: Read, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"{SECRET_KEY}\n\n{'x' * 32}\n")
    assert read(SECRET_KEY_FALLBACKS_FILE=str(tmp_path / "keys")).secret_key_fallbacks == (SECRET_KEY, "x" * 32)
    assert read(SECRET_KEY_FALLBACKS=SECRET_KEY).secret_key_fallbacks == (SECRET_KEY,)
    assert read().secret_key_fallbacks == ()


def test_networks_are_read_one_by_one(read: Read) -> None:
    settings = read(WEBHOOK_ALLOWED_NETWORKS="127.0.0.0/8, ::1/128")
    assert settings.webhook_allowed_networks == (ip_network("127.0.0.0/8"), ip_network("::1/128"))


def test_the_kept_secret_key_stays_the_same_and_is_readable_by_its_owner_alone(read: Read, tmp_path: Path) -> None:
    first = read().secret_key
    assert len(first) == 64
    assert read().secret_key == first
    assert stat.S_IMODE((tmp_path / "secret_key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secret_key"]


@pytest.mark.parametrize("kept", [b"", b"\n", b"short", b"\xff" * 40])
def test_a_kept_secret_key_that_is_lost_stops_the_start(read: Read, tmp_path: Path, kept: bytes) -> None:
    (tmp_path / "secret_key").write_bytes(kept)
    with pytest.raises(ConfigurationError, match=r"holds no usable key\. Put it back from a backup"):
        read(SECRET_KEY="")


def test_processes_that_start_at_once_agree_on_one_secret_key(tmp_path: Path) -> None:
    program = "from config import Settings; print(Settings.from_environment().secret_key)"

    def start(_: int) -> str:
        environ = {"DATA_DIR": str(tmp_path / "new"), "PATH": os.environ["PATH"]}
        return subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, env=environ, capture_output=True, check=True
        ).stdout

    with ThreadPoolExecutor(6) as pool:
        keys = list(pool.map(start, range(6)))
    assert len(set(keys)) == 1
    assert len(keys[0].strip()) == 64


def test_a_socket_path_too_long_for_the_kernel_moves_to_the_temporary_directory() -> None:
    assert embedded_redis_socket(Path("/srv/data")) == Path("/srv/data/redis.sock")
    long_one, other = (embedded_redis_socket(Path("/srv") / (letter * 120)) for letter in "ab")
    assert len(os.fsencode(long_one)) < 108
    assert long_one != other


@pytest.mark.parametrize("directory", ["/srv/my data", "/srv/a=b", "/srv/données"])
def test_a_socket_path_that_redis_tools_cannot_read_moves_too(directory: str) -> None:
    socket = embedded_redis_socket(Path(directory))
    assert socket.parent == Path(tempfile.gettempdir())
    assert re.fullmatch(r"[\w./-]+", str(socket), re.ASCII)


@pytest.mark.parametrize(
    "program", [["flask", "--app", "app", "routes"], ["gunicorn", "--check-config", "app:create_app()"]]
)
def test_no_program_shows_a_traceback_for_a_bad_setting(program: list[str], tmp_path: Path) -> None:
    environ = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path), "SCIM_RATE_LIMIT": "a lot"}
    command = [sys.executable, "-m", *program]
    ended = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr == """SCIM_RATE_LIMIT is not usable: 'a lot' is no rate. Write it as "100 per second".\n"""
    assert ended.stdout == ""
