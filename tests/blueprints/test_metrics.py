"""What Prometheus reads, and who may read it."""

import json
import re
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

import jobs
from blueprints.metrics import identity_provider
from tests.conftest import ROOT, Tenant

TOKEN = "a token for metrics"


@pytest.fixture
def environ(environ: dict[str, str]) -> dict[str, str]:
    return {**environ, "METRICS_TOKEN": TOKEN}


def read(client: Any) -> dict[tuple[str, ...], float]:
    """All samples, by name and the values of their labels."""
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain")
    families = text_string_to_metric_families(answer.text)
    return {(s.name, *sorted(s.labels.values())): s.value for family in families for s in family.samples}


def test_requests_are_counted_by_identity_provider_and_status(acme: Tenant) -> None:
    counted = ("authn_scim_requests_total", *sorted(("scim", "okta", "GET", "200")))
    before = read(acme.client).get(counted, 0)
    acme.scim("GET", "/Users", headers={"User-Agent": "Okta SCIM Client 1.0.0"})
    assert read(acme.client)[counted] == before + 1


def test_a_strange_method_makes_no_new_label(acme: Tenant) -> None:
    acme.client.open("/scim/v2/Users", method="BREW")
    assert not [labels for labels in read(acme.client) if "BREW" in labels]


@pytest.mark.parametrize(
    ("user_agent", "idp"),
    [
        ("Okta SCIM Client 1.0.0", "okta"),
        ("", "none"),
        ("Google-Auto-Provisioning", "google"),
        ("curl/8", "other"),
        ("JumpCloud", "jumpcloud"),
    ],
)
def test_identity_providers_are_known_by_their_clients(user_agent: str, idp: str) -> None:
    assert identity_provider(user_agent) == idp


def test_what_waits_to_be_delivered_is_told(app: Any, acme: Tenant) -> None:
    acme.api("POST", "/webhook-endpoints", json={"url": "http://127.0.0.1:1/", "enabled_event_types": ["*"]})
    acme.scim("POST", "/Users", json={"userName": "ada@acme.example"})
    with app.app_context():
        jobs.sweep_once()
    samples = read(acme.client)
    assert samples[("authn_scim_webhook_deliveries_pending",)] == 1
    assert 0 <= samples[("authn_scim_webhook_oldest_due_seconds",)] < 60
    assert samples[("authn_scim_webhook_endpoints_disabled",)] == 0
    assert samples[("authn_scim_jobs_queued",)] == 1
    assert 0 <= samples[("authn_scim_sweep_age_seconds",)] < 60
    assert (samples[("authn_scim_database_up",)], samples[("authn_scim_redis_up",)]) == (1, 1)


@pytest.mark.parametrize("header", [None, "Bearer ", "Bearer wrong", f"Basic {TOKEN}"])
def test_nobody_reads_them_without_the_token(acme: Tenant, header: str | None) -> None:
    answer = acme.client.get("/metrics", headers={} if header is None else {"Authorization": header})
    assert answer.status_code == 401
    assert "authn_scim" not in answer.text


class TestWithoutAToken:
    @pytest.fixture
    def environ(self, environ: dict[str, str]) -> dict[str, str]:
        return {name: value for name, value in environ.items() if name != "METRICS_TOKEN"}

    def test_there_is_nothing_to_read(self, acme: Tenant) -> None:
        answer = acme.client.get("/metrics", headers={"Authorization": "Bearer "})
        assert answer.status_code == 404


@pytest.mark.parametrize("file", ["grafana/authn-scim.json", "prometheus/alerts.yml"])
def test_the_examples_ask_for_metrics_and_labels_that_there_are(acme: Tenant, app: Any, file: str) -> None:
    with app.app_context():
        jobs.sweep_once()
    acme.scim("GET", "/Users")
    answer = acme.client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    samples = [s for family in text_string_to_metric_families(answer.text) for s in family.samples]
    text = (ROOT / "deploy" / file).read_text().replace('\\"', '"')
    asked = set(re.findall(r"authn_scim_\w+", text))
    assert len(asked) >= 6
    assert asked <= {s.name for s in samples}
    labels = {label for s in samples for label in s.labels}
    by = {label.strip() for names in re.findall(r"by \(([^)]*)\)", text) for label in names.split(",")}
    selected = set(re.findall(r"[{,](\w+)[!=]~?=?\"", text))
    assert by | selected <= labels


def test_the_dashboard_says_what_each_number_means() -> None:
    dashboard = json.loads((ROOT / "deploy/grafana/authn-scim.json").read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert not [panel["title"] for panel in panels if panel["type"] == "stat" and not panel["description"]]
