"""The README is short, and the files and make targets that documents name exist."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.layout import ROOT

FRONT = ("README.md", "CONTRIBUTING.md")
LINK = re.compile(r'(?:\]\(|src="|srcset="|`)((?:docs|src|services|deploy|tests|requirements)/[\w./-]*)[)"`]')
TARGET = re.compile(r"^([a-z0-9-]+):.*## ", flags=re.MULTILINE)
# Matches `make up ...`, commands of workflows, and lines of code blocks. Only a variable or a comment may follow the
# target.
NAMED = re.compile(
    r"(?:(?:`|run: |script: )make ([a-z0-9-]+)|^ *make ([a-z0-9-]+)(?= *$| +#| +[A-Z_]+=| +&&))", flags=re.MULTILINE
)
BEFORE_THE_EXAMPLE = """
import json
from types import SimpleNamespace
import django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
"""
AFTER_THE_EXAMPLE = """
rename(SimpleNamespace(title="", save=lambda: None), "A title")
from tidewire.models import OutboxEvent
topics = tuple(topic.name for topic in NotificationsConsumer().topics())
print(topics, [json.loads(body)["title"] for body in OutboxEvent.objects.values_list("body", flat=True)])
"""
WRITTEN = {".conf", ".html", ".in", ".js", ".json", ".md", ".py", ".toml", ".txt", ".yaml", ".yml"}


def test_the_readme_is_read_in_one_go():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 150


def test_the_example_of_the_readme_runs():
    """In its own process, because a class of an event stays registered for the rest of its process."""
    [example] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(str(ROOT / each) for each in (".", "src", "services")),
        "DJANGO_SETTINGS_MODULE": "tests.settings",
    }
    ran = subprocess.run(
        [sys.executable, "-c", f"{BEFORE_THE_EXAMPLE}{example}{AFTER_THE_EXAMPLE}"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout == "('notifications',) ['A title']\n", ran.stderr


@pytest.mark.parametrize("name", FRONT)
def test_every_file_that_is_named_is_there(name):
    named = LINK.findall((ROOT / name).read_text(encoding="utf-8"))
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_target_that_is_named_exists():
    """In documents, comments, docstrings and messages. The changelog may name targets of its time."""
    of_projects = (ROOT / "deploy/kit/own/deploy/kit.mk.jinja").read_text(encoding="utf-8")
    targets = {"help", *TARGET.findall(makefile()), *TARGET.findall(of_projects)}
    assert len(targets) > 10
    named = {
        (str(path.relative_to(ROOT)), quoted or alone)
        for path in written()
        for quoted, alone in NAMED.findall(path.read_text(encoding="utf-8"))
    }
    assert len(named) > 50
    assert sorted((path, target) for path, target in named if target not in targets) == []


def test_help_shows_every_target_below_its_heading():
    """Each line must fit a terminal of 120 columns, and each group must be declared phony as a whole."""
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    groups = {lines[0]: lines[1:] for lines in (block.splitlines() for block in shown.strip().split("\n\n"))}
    assert list(groups) == ["Run", "Test", "Measure", "Deploy", "Write"]
    listed = [line.split()[1] for lines in groups.values() for line in lines]
    assert listed == TARGET.findall(makefile())
    assert [line for line in shown.splitlines() if len(line) > 120] == []
    assert [line for lines in groups.values() for line in lines if not re.match(r"  make [a-z0-9-]+ +\S", line)] == []
    phony = " ".join(re.findall(r"^\.PHONY: (.*)", makefile(), flags=re.MULTILINE)).split()
    assert sorted(phony) == sorted([*listed, "help"])


def makefile() -> str:
    return (ROOT / "Makefile").read_text(encoding="utf-8")


def written() -> Iterator[Path]:
    yield from (
        ROOT / name for name in (*FRONT, "pyproject.toml", "compose.yaml", ".env.example", ".ci/run", ".gitlab-ci.yml")
    )
    tools = ("loadtest", "bench", "capacity", "experiments", "testkit")
    for folder in (".github", "src", "services", "deploy", "docs", *tools, "requirements", "tests"):
        yield from (path for path in (ROOT / folder).rglob("*") if path.suffix in WRITTEN)
