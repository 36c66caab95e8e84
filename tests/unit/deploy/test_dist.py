"""The release: the exact contents of the wheel and the sdist, the format of the changelog, the lists of licences."""

import re
import subprocess
import tomllib

import pytest

from deploy.local.layout import ROOT
from deploy.release import dist
from tidewire import __version__

# All headings that Keep a Changelog allows.
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return dist.build(tmp_path_factory.mktemp("dist"))


def test_the_wheel_has_exactly_the_package(built):
    assert dist.difference(dist.wheel_files(built[0]), dist.expected_files()[0]) == ""


def test_the_sdist_has_exactly_the_package_and_what_describes_it(built):
    assert dist.difference(dist.sdist_files(built[1]), dist.expected_files()[1]) == ""
    besides = {name for name in dist.sdist_files(built[1]) if not name.startswith("src/")}
    assert besides == {
        *("pyproject.toml", "hatch_build.py", ".gitignore", "PKG-INFO"),
        *("README.md", "LICENSE", "CHANGELOG.md"),
    }


def test_the_package_has_what_is_no_python(built):
    files = dist.wheel_files(built[0])
    kinds = {"tidewire/py.typed", "tidewire/redis/lua/append.lua", "tidewire/static/tidewire/client.js"}
    assert kinds | {"tidewire/migrations/0001_initial.py"} <= files
    assert "tidewire/kit/templates/project/deploy/compose.yaml.jinja" in files
    assert not [name for name in files if "test_" in name or "tests/" in name or "__pycache__" in name]


def test_a_file_too_many_or_too_few_is_named():
    assert dist.difference({"a", "b"}, {"b", "c"}) == "a does not belong in it\nc is missing"


def test_licences_are_read_from_each_form():
    bom = {
        "components": [
            {"name": "a", "version": "1", "licenses": [{"expression": "MIT OR BSD-3-Clause"}]},
            {"name": "b", "version": "2", "licenses": [{"license": {"id": "MIT"}}, {"license": {"name": "Own"}}]},
            {
                "name": "c",
                "version": "3",
                "licenses": [{"license": {"name": "License :: OSI Approved :: BSD License"}}],
            },
            {"name": "d", "version": "4"},
        ]
    }
    assert dist.licences(bom) == {"a 1": "MIT OR BSD-3-Clause", "b 2": "MIT; Own", "c 3": "BSD License", "d 4": ""}


def test_a_named_image_that_cannot_be_read_is_an_error(monkeypatch, capsys):
    """A release would otherwise lack its list without a failure."""
    monkeypatch.setattr(dist.shutil, "which", lambda _name: None)
    dist._list_debian("web", "")
    assert "left out; make dist WEB_IMAGE=" in capsys.readouterr().out
    with pytest.raises(dist.DistError, match=r"^WEB_IMAGE=tidewire-web: there is no docker"):
        dist._list_debian("web", "tidewire-web")


def test_a_program_that_is_absent_is_named_in_one_line():
    with pytest.raises(dist.DistError, match=r"^no-such-git ls-files failed: .*$"):
        dist._run(["no-such-git", "ls-files"])


def test_a_file_that_is_not_in_git_stops_the_release(tmp_path):
    for command in (["git", "init", "--quiet", "."], ["touch", "left_over.py"]):
        subprocess.run(command, cwd=tmp_path, check=True)
    with pytest.raises(dist.DistError, match=r"^not in git, so commit or delete first: left_over\.py in "):
        dist._check_committed(tmp_path)


def test_the_version_is_the_same_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == __version__


def test_the_changelog_is_one():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[([^\]]+)\](?: - (\d{4}-\d\d-\d\d))?$", text, re.MULTILINE)
    assert versions[0] == ("Unreleased", "")
    assert versions[1][0] == __version__
    assert all(date for _, date in versions[1:])
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) <= KINDS
