"""The front page: short, and every file it points to is there."""

import re

import pytest

from deploy.local.layout import ROOT

FRONT = ("README.md", "CONTRIBUTING.md")
LINK = re.compile(r'(?:\]\(|src="|srcset="|`)((?:docs|src|services|deploy|tests|requirements)/[\w./-]*)[)"`]')


def test_the_readme_is_read_in_one_go():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 150


@pytest.mark.parametrize("name", FRONT)
def test_every_file_that_is_named_is_there(name):
    named = LINK.findall((ROOT / name).read_text(encoding="utf-8"))
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("name", FRONT)
def test_every_door_that_is_named_is_one(name):
    doors = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    named = re.findall(r"(?:`|^)make ([a-z-]+)", (ROOT / name).read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert named
    assert set(named) <= doors


def test_the_help_keeps_each_door_apart_from_its_words():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    doors = re.findall(r"^([a-z0-9-]+):.*## ", makefile, flags=re.MULTILINE)
    width = int(re.search(r"make %-(\d+)s", makefile)[1])
    assert [door for door in doors if len(door) >= width] == []
