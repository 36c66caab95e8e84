"""The facts of a measurement are complete where programs, packages or the repository are missing."""

import platform

from testkit import machine_facts
from testkit.machine_facts import commit, output, package_versions


def test_a_missing_or_failing_program_has_no_output():
    assert output("no-such-program") == ""
    assert output("false") == ""
    assert output("echo", "7.0") == "7.0"


def test_an_image_without_a_repository_has_the_commit_of_its_build(monkeypatch):
    monkeypatch.setattr(machine_facts, "output", lambda *_command: "")
    monkeypatch.setenv("TIDEWIRE_REVISION", "0123456789abcdef")
    assert commit() == "0123456789ab"
    monkeypatch.delenv("TIDEWIRE_REVISION")
    assert commit() == "unknown"


def test_packages_that_are_not_installed_are_left_out():
    assert package_versions(["no-such-package"]) == {"Python": platform.python_version()}
    assert "Django" in package_versions(["Django"])
