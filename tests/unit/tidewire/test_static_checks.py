"""`manage.py check` warns of static files that could pair a new `client.js` with modules of the previous release."""

import pytest
from django.apps import apps
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage
from django.core.checks import run_checks

from tidewire.checks import check_static_files

STORAGE = "django.contrib.staticfiles.storage."


class HashedModules(ManifestStaticFilesStorage):
    support_js_module_import_aggregation = True


@pytest.fixture
def warnings(settings):
    """Return a function that runs the checks with a class of storage, and returns their ids and messages."""

    def check(backend: str) -> dict[str, str]:
        settings.STORAGES = settings.STORAGES | {"staticfiles": {"BACKEND": backend}}
        return {message.id: message.msg for message in run_checks(tags=["staticfiles"])}

    return check


def test_hashed_names_that_import_plain_names_are_a_warning(warnings):
    backend = f"{STORAGE}ManifestStaticFilesStorage"
    assert warnings(backend) == {
        "tidewire.W015": f"{backend} hashes the name of client.js, but not the names of the modules that it imports."
    }


@pytest.mark.parametrize(
    "backend", [f"{STORAGE}StaticFilesStorage", f"{__name__}.HashedModules", "web.storage.HashedStaticFiles"]
)
def test_names_of_one_kind_are_no_warning(warnings, backend):
    """Without hashes, a browser asks for each file again."""
    assert warnings(backend) == {}


def test_a_project_without_static_files_is_not_checked(warnings, monkeypatch):
    """Such a project may serve the client from elsewhere."""
    monkeypatch.setattr(apps, "is_installed", lambda name: name != "django.contrib.staticfiles")
    assert warnings(f"{STORAGE}ManifestStaticFilesStorage") == {}


class WithPassword(ManifestStaticFilesStorage):
    """A bucket whose password is not on the machine that runs the checks."""

    def __init__(self):
        raise PermissionError("no password")


def test_a_storage_is_not_opened(warnings):
    assert list(warnings(f"{__name__}.WithPassword")) == ["tidewire.W015"]


@pytest.mark.parametrize("storages", [{}, {"staticfiles": {"BACKEND": "no.such.Storage"}}, {"staticfiles": {}}])
def test_a_storage_that_does_not_exist_is_left_to_django(settings, storages):
    settings.STORAGES = storages
    assert check_static_files() == []
