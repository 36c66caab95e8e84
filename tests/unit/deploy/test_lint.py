"""The linters of files for containers: each accepts the repository's files and finds a planted mistake."""

import shutil

import pytest

from deploy.compose import lint
from deploy.local.layout import ROOT


@pytest.fixture
def configuration():
    try:
        with lint.rendered() as directory:
            yield directory
    except lint.Absent as error:
        pytest.skip(f"lint: {error}")


def complaints(linter, *arguments):
    try:
        return linter(*arguments)
    except lint.Absent as error:
        pytest.skip(f"lint: {error}")


def test_dockerfiles_are_clean():
    assert complaints(lint.hadolint) == ""


@pytest.mark.parametrize(
    ("before", "after", "rule"),
    [
        ("FROM python:3.14-slim-trixie\n", "FROM python:latest\n", "DL3007"),
        ("USER 10001:10001\n", "USER root\n", "DL3002"),
        ('CMD ["gunicorn", ', "CMD gunicorn \nCMD [", "DL3025"),
    ],
)
def test_a_careless_dockerfile_is_found(tmp_path, before, after, rule):
    text = (ROOT / "services/web/Dockerfile").read_text()
    assert before in text
    path = tmp_path / "Dockerfile"
    path.write_text(text.replace(before, after))
    assert rule in complaints(lint.hadolint, [path])


def test_nginx_is_configured_safely(configuration):
    assert complaints(lint.gixy, configuration) == ""
    assert complaints(lint.gixy, lint.EXAMPLE_NGINX) == ""


@pytest.mark.parametrize(
    ("before", "after", "check"),
    [
        ("location ^~ /static/ {", "location ^~ /static {", "alias_traversal"),
        (
            "location = /healthz { return 404; }",
            "location = /healthz { return 302 https://$host$uri; }",
            "http_splitting",
        ),
        (
            "location / {\n",
            "location / {\n        add_header X-Planted 1;\n",
            "add_header_redefinition",
        ),
    ],
)
def test_an_unsafe_directive_is_found(configuration, before, after, check):
    site = configuration.with_name("tidewire.conf")
    assert before in site.read_text()
    site.write_text(site.read_text().replace(before, after))
    assert check in complaints(lint.gixy, configuration)


def test_nginx_accepts_its_configuration(configuration):
    assert complaints(lint.nginx, configuration) == ""


def test_an_nginx_without_the_status_module_checks_the_rest(configuration, tmp_path, monkeypatch):
    """The nginx of a Python package lacks this module; that of the container image has it."""
    assert lint.STATUS in configuration.read_text()
    plain = tmp_path / "nginx"
    plain.write_text(f'#!/bin/sh\n[ "$1" = -V ] || ! grep -q "{lint.STATUS}" "$4" || echo "unknown directive"\n')
    plain.chmod(0o755)
    monkeypatch.setattr(lint, "find_program", lambda _name: str(plain))
    assert lint.nginx(configuration) == ""
    assert lint.STATUS not in configuration.read_text()


def test_a_directive_that_nginx_does_not_know_is_found(configuration):
    site = configuration.with_name("tidewire.conf")
    site.write_text(site.read_text().replace("least_conn;", "least_connections;"))
    assert 'unknown directive "least_connections"' in complaints(lint.nginx, configuration)


def test_compose_accepts_its_files():
    assert complaints(lint.compose_config) == ""


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("restart: unless-stopped", "restrat: unless-stopped", "restrat"),
        ("networks: [front, back]", "networks: [front, backstage]", "backstage"),
    ],
)
def test_a_misspelled_compose_file_is_found(tmp_path, before, after, message):
    text = (ROOT / "compose.yaml").read_text()
    assert before in text
    (tmp_path / "compose.yaml").write_text(text.replace(before, after))
    assert message in complaints(lint.compose_config, [["compose.yaml"]], tmp_path)


def test_workflows_are_clean():
    assert complaints(lint.workflows) == ""


@pytest.mark.parametrize(
    ("linter", "before", "after", "message"),
    [
        (lint.github_schema, "runs-on: ubuntu-24.04", "runson: ubuntu-24.04", "runson"),
        (lint.zizmor, "        with:\n          persist-credentials: false\n", "", "artipacked"),
        (lint.zizmor, "@3d3c42e5aac5ba805825da76410c181273ba90b1", "@v7", "unpinned-uses"),
        (
            lint.zizmor,
            "run: make lint",
            'run: make lint "${{ github.event.pull_request.title }}"',
            "template-injection",
        ),
    ],
)
def test_an_unsafe_workflow_is_found(tmp_path, linter, before, after, message):
    text = (ROOT / ".github/workflows/ci.yml").read_text()
    assert before in text
    (tmp_path / ".github/workflows").mkdir(parents=True)
    path = tmp_path / ".github/workflows/ci.yml"
    path.write_text(text.replace(before, after))
    assert message in complaints(linter, [path])


def test_a_misspelled_workflow_of_gitlab_is_found(tmp_path):
    text = (ROOT / ".gitlab-ci.yml").read_text()
    path = tmp_path / ".gitlab-ci.yml"
    path.write_text(text.replace("  stage: check\n  script: make lint", "  stage: check\n  scripts: make lint"))
    assert "scripts" in complaints(lint.gitlab_schema, [path])


@pytest.mark.parametrize("linter", ["github_schema", "gitlab_schema", "renovate_schema", "zizmor"])
def test_each_linter_of_workflows_is_heard(monkeypatch, linter):
    for each in ("github_schema", "gitlab_schema", "renovate_schema", "zizmor"):
        monkeypatch.setattr(lint, each, lambda each=each: "planted" if each == linter else "")
    assert lint.workflows() == "planted"


@pytest.fixture
def without_workflows(monkeypatch):
    """Replace the slowest linters, which another test runs on the same files."""
    monkeypatch.setattr(lint, "workflows", lambda: "")


@pytest.mark.usefixtures("without_workflows")
def test_a_complaint_fails_the_door(monkeypatch, capsys):
    """The output must contain the linter's message."""
    monkeypatch.setattr(lint, "hadolint", lambda: "DL0000 planted")
    assert lint.main() == 1
    assert "hadolint: DL0000 planted" in capsys.readouterr().out


@pytest.mark.usefixtures("without_workflows")
def test_what_cannot_run_is_left_out_with_the_reason(monkeypatch, capsys):
    monkeypatch.setattr(shutil, "which", lambda _name, **_options: None)
    assert lint.main() == 0
    assert "docker compose config: left out, there is no docker compose" in capsys.readouterr().out
