"""Gunicorn with the hooks of `tidewire.gunicorn`, for any project: `/metrics` counts all workers."""

import importlib
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from deploy.local.layout import LOOPBACK, ROOT, free_port
from tests.contract.runserver_project import FILES
from tests.http_client import fetch, metric

WAIT_SECONDS = 60.0
PAGES = 40
GUNICORN_CONF = """
from tidewire.gunicorn import child_exit, on_starting
worker_class = "tidewire.gunicorn_worker.ClosingWorker"
workers = 2
threads = 2
wsgi_app = "site_wsgi:application"
"""
WSGI = """
import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_settings")
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
"""
URLS = """
from django.http import HttpResponse
from django.urls import path
from tidewire.publishing.web_metrics import metrics_view
urlpatterns = [path("", lambda request: HttpResponse("hello"), name="home"), path("metrics", metrics_view)]
"""


@pytest.fixture
def gunicorn(tmp_path):
    """Run it, and yield the process and a function that reads a page."""
    settings = FILES["site_settings.py"] + 'MIDDLEWARE = ["tidewire.requests.RequestMetricsMiddleware"]\n'
    files = {
        "gunicorn.conf.py": GUNICORN_CONF,
        "site_wsgi.py": WSGI,
        "site_urls.py": URLS,
        "site_settings.py": settings,
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    port = free_port()
    hidden = ("TIDEWIRE_", "DJANGO_", "PROMETHEUS_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(hidden)}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "-b", f"{LOOPBACK}:{port}"],
            cwd=tmp_path,
            env=kept | {"PYTHONPATH": f"{ROOT}/src:{tmp_path}", "TMPDIR": str(tmp_path)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )

    def page(path):
        return fetch(f"http://{LOOPBACK}:{port}{path}")

    try:
        until(lambda: answers(page), (tmp_path / "log").read_text)
        yield process, page
    finally:
        process.terminate()
        process.wait(WAIT_SECONDS)


def answers(page):
    try:
        return page("/metrics").status == 200
    except OSError:
        return False


def until(matches, report=lambda: ""):
    end = time.monotonic() + WAIT_SECONDS
    while not matches():
        assert time.monotonic() < end, report()
        time.sleep(0.1)


def counted(page):
    return metric(page("/metrics").text, "tidewire_requests_total", method="GET", view="home", status="2xx")


def test_metrics_are_the_sum_over_workers_that_live_and_that_ended(gunicorn):
    process, page = gunicorn
    for _ in range(PAGES):
        assert page("/").text == "hello"
    until(lambda: counted(page) == PAGES)
    first, *_ = psutil.Process(process.pid).children()
    first.send_signal(signal.SIGTERM)
    first.wait(WAIT_SECONDS)
    until(lambda: len(psutil.Process(process.pid).children()) == 2)
    assert counted(page) == PAGES


def test_hooks_that_are_imported_too_late_are_refused(tmp_path):
    (tmp_path / "gunicorn.conf.py").write_text("import prometheus_client\n" + GUNICORN_CONF)
    ended = subprocess.run(
        [sys.executable, "-m", "gunicorn", "-b", f"{LOOPBACK}:{free_port()}"],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{ROOT}/src", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    assert ended.returncode != 0
    assert "prometheus_client was imported before tidewire.gunicorn" in ended.stderr


def test_import_in_another_process_leaves_its_metrics_alone():
    """Every metric of a test run that had read the module's examples was written to a directory that did not exist."""
    importlib.reload(importlib.import_module("tidewire.gunicorn"))
    assert "PROMETHEUS_MULTIPROC_DIR" not in os.environ
