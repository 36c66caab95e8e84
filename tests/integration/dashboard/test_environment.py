"""In production each entry point refuses to start without a required setting, with an error message."""

import os
import subprocess
import sys

import pytest
from django.core.checks.registry import registry

from deploy.local.layout import ROOT

ENTRY_POINTS = {
    "gunicorn": ["-m", "gunicorn", "-c", "services/web/gunicorn.conf.py", "web.wsgi:application"],
    "ws": ["-m", "tidewire", "ws.asgi:application"],
    "relay": ["services/web/manage.py", "relay"],
}
PRODUCTION = {
    "TIDEWIRE_SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz",
    "TIDEWIRE_ALLOWED_HOSTS": "docs.example.com",
    "TIDEWIRE_REDIS_URL": "redis://127.0.0.1:1/0",
    "TIDEWIRE_DATABASE_URL": "sqlite:///:memory:",
}


def run(*arguments, settings="web.settings", **environment):
    """Run with a timeout: a process that starts instead of refusing must fail the test, not block it."""
    base = {name: value for name, value in os.environ.items() if not name.startswith(("TIDEWIRE_", "DJANGO_"))}
    paths = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'services'}", "DJANGO_SETTINGS_MODULE": settings}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=base | paths | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_nothing_starts_in_production_without_its_settings(name):
    done = run(*ENTRY_POINTS[name], settings="ws.settings" if name == "ws" else "web.settings")
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert [variable for variable in PRODUCTION if f"{variable} is not set" not in output] == []
    assert "Traceback" not in output


def test_one_missing_variable_is_the_one_that_is_named():
    environment = {name: value for name, value in PRODUCTION.items() if name != "TIDEWIRE_REDIS_URL"}
    output = run(*ENTRY_POINTS["gunicorn"], **environment).stderr
    assert output.count("is not set") == 1
    assert "TIDEWIRE_REDIS_URL is not set" in output


def test_django_finds_nothing_to_harden_in_production():
    # The checks with the tag `services` ask Redis and the database, and none runs here.
    tags = [f"--tag={tag}" for tag in sorted({*registry.tags_available(deployment_checks=True)} - {"services"})]
    done = run("services/web/manage.py", "check", "--deploy", "--fail-level", "WARNING", *tags, **PRODUCTION)
    assert done.returncode == 0, done.stderr


def test_the_admin_is_where_its_path_says():
    code = "import django; django.setup(); from django.urls import reverse; print(reverse('admin:index'))"
    done = run("-c", code, **PRODUCTION, TIDEWIRE_ADMIN_PATH="desk/")
    assert done.stdout.strip() == "/desk/", done.stderr


def test_production_has_no_demo_users():
    done = run("services/web/manage.py", "demo", **PRODUCTION)
    assert done.returncode != 0
    assert "development" in done.stderr


def test_ws_loads_no_page():
    """A ws process must not load the admin, templates or static files, which would cost memory in each process."""
    unwanted = "[m for m in sys.modules if m.startswith('web.') or m == 'django.contrib.admin.sites']"
    code = f"import django, sys; django.setup(); import ws.asgi; print({unwanted})"
    done = run("-c", code, settings="ws.settings", **PRODUCTION)
    assert done.stdout.strip() == "[]", done.stderr
