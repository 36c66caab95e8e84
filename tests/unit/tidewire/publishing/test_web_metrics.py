"""The metrics of a page service: the sum over its processes, and none that only nodes have."""

import os
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest
from django.db import DatabaseError
from django.test import RequestFactory

from deploy.local.layout import ROOT
from tidewire import metric_owners
from tidewire.publishing import outbox, web_metrics

# In its own process, because prometheus_client chooses its mode on import.
SCRAPE = """
import django
django.setup()
from django.test import Client
from django.core.management import call_command
call_command("migrate", verbosity=0)
from tidewire import metrics
metrics.REDIS_RECONNECTS.inc()
metrics.DRAINING.set(1)
Client().get("/new/", headers={"host": "localhost"})
print(Client().get("/metrics", headers={"host": "localhost"}).text)
"""


@pytest.fixture(scope="module")
def scraped(tmp_path_factory):
    env = os.environ | {
        "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT / "services"), str(ROOT))),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path_factory.mktemp("counts")),
        "TIDEWIRE_ENVIRONMENT": "development",
        "TIDEWIRE_DATABASE_URL": f"sqlite:///{tmp_path_factory.mktemp('database') / 'db.sqlite3'}",
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRAPE], env=env, capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_pages_and_the_outbox_are_told_over_all_processes(scraped):
    assert 'tidewire_requests_total{method="GET",status="3xx",view="document-create"} 1.0' in scraped
    assert "tidewire_outbox_waiting 0.0" in scraped
    assert "tidewire_redis_reconnects_total 1.0" in scraped


def test_failures_of_a_page_start_at_zero(scraped):
    """Prometheus does not count the first appearance of a counter, so an alert would miss each route's first ones."""
    assert 'tidewire_requests_total{method="GET",status="5xx",view="document-create"} 0.0' in scraped


@pytest.mark.parametrize(
    "metric", [*metric_owners.NODE_METRICS, *metric_owners.RELAY_METRICS], ids=lambda metric: metric.describe()[0].name
)
def test_nothing_of_a_node_or_of_the_relay_is_told(scraped, metric):
    """A page's process imports these metrics too; its zeros could be mistaken for a node's."""
    assert f"# HELP {metric.describe()[0].name}" not in scraped


@pytest.mark.django_db
def test_a_scrape_survives_an_outage_of_the_database(client, monkeypatch):
    def refuse():
        raise DatabaseError("password=secret")

    monkeypatch.setattr(outbox, "count_waiting", refuse)
    assert client.get("/metrics").status_code == 200


def test_a_scrape_does_not_wait_for_a_database_that_hangs(monkeypatch):
    """The next scrape waits for the same count, and starts no other thread."""
    release, started = threading.Event(), []

    def hang():
        started.append(1)
        release.wait(60)

    monkeypatch.setattr(outbox, "count_waiting", hang)
    monkeypatch.setattr(web_metrics, "connection", SimpleNamespace(vendor="postgresql", close=lambda: None))
    monkeypatch.setattr(web_metrics, "COUNT_SECONDS", 0.05)
    try:
        for _ in range(2):
            assert web_metrics.metrics_view(RequestFactory().get("/metrics")).status_code == 200
        assert started == [1]
    finally:
        release.set()
