"""The public conformance suites, against the real application."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from scim2_client.engines.wsgi import WSGISCIMClient
from scim2_tester import Status, check_server
from scim_sanity.probe.runner import run_probe_api
from werkzeug.serving import make_server

from tests.conftest import Tenant, free_port


@pytest.fixture
def environ(environ: dict[str, str]) -> dict[str, str]:
    port = free_port()
    return {**environ, "PUBLIC_URL": f"http://127.0.0.1:{port}", "PORT": str(port)}


@pytest.fixture
def base_url(app: Flask, environ: dict[str, str]) -> Iterator[str]:
    server = make_server("127.0.0.1", int(environ["PORT"]), app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield app.config["SCIM_ENDPOINT_URL"].rstrip("/")
    server.shutdown()
    server.server_close()


def test_scim2_tester_finds_nothing_wrong_and_skips_nothing(app: Flask, base_url: str, acme: Tenant) -> None:
    headers = {"Authorization": f"Bearer {acme.scim_token}"}
    results = check_server(WSGISCIMClient(app, base_url=base_url, headers=headers))

    assert len(results) > 100
    assert [(r.status.name, r.title, r.reason) for r in results if r.status is not Status.SUCCESS] == []


def test_scim_sanity_in_strict_mode_finds_nothing_wrong(base_url: str, acme: Tenant) -> None:
    report: dict[str, Any] = run_probe_api(base_url, token=acme.scim_token, strict=True)

    not_passed = [r for r in report["results"] if r["status"] != "pass" and "Agent" not in r["name"]]
    assert not_passed == []
    assert report["exit_code"] == 0
