"""A package that is too old is named in one line, before it causes another error."""

import re
import tomllib

import pytest
from django.core.exceptions import ImproperlyConfigured

from deploy.local.layout import ROOT
from tidewire import versions


def test_the_oldest_versions_are_those_of_the_package():
    """A resolver and a process without a resolver refuse the same versions."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    least = dict(re.fullmatch(r"([\w-]+)>=([\d.]+)", each).groups() for each in declared)
    assert {name: least[name] for name in versions.PACKAGES} == versions.PACKAGES


def test_installed_packages_are_new_enough():
    versions.require_packages()


def test_a_package_that_is_too_old_is_named_with_what_to_do(monkeypatch):
    monkeypatch.setattr(versions, "metadata", {"Django": {"Version": "4.2.30"}}.__getitem__)
    with pytest.raises(ImproperlyConfigured) as caught:
        versions.require_packages({"Django": "5.2"})
    assert str(caught.value) == (
        "Django 4.2.30 is too old: tidewire needs 5.2 or newer: pip install --upgrade 'Django>=5.2'"
    )


def test_a_package_that_is_absent_is_not_too_old():
    versions.require_packages({"no-such-package": "1"})


def test_a_package_that_names_no_version_is_not_too_old(monkeypatch, tmp_path):
    (tmp_path / "left_over-1.0.dist-info").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    versions.require_packages({"left-over": "2"})


@pytest.mark.parametrize("version", ["7.0", "7.0.15", "7.2.4", "8.0-rc1", "9.1.2", "10.0", "255.255.255"])
def test_a_redis_server_that_is_new_enough_is_accepted(version):
    versions.require_redis_server(version)


@pytest.mark.parametrize("version", ["6.2.14", "6.9", "5", "2.8.24"])
def test_a_redis_server_that_is_too_old_is_named(version):
    with pytest.raises(ImproperlyConfigured, match=rf"^the Redis server is {version}, which is too old: .* Redis 7\.0"):
        versions.require_redis_server(version)
