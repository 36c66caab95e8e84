"""docs/compatibility.md proves the claims of pyproject.toml: each Python and each Django was tried, and passed."""

import re

import pytest

from deploy.local.layout import ROOT

CLAIM = re.compile(r'"(?:Programming Language|Framework) :: (Python|Django) :: (\d+\.\d+)"')
CLAIMED = CLAIM.findall((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ROWS = [
    [cell.strip() for cell in line.strip("|\n").split("|")]
    for line in (ROOT / "docs/compatibility.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ")
]


def column(name: str) -> list[str]:
    number = ROWS[0].index(name)
    return [row[number] for row in ROWS[2:]]


@pytest.mark.parametrize(("kind", "version"), CLAIMED)
def test_each_version_that_is_claimed_was_tried(kind, version):
    assert any(re.match(rf"{re.escape(version)}(\.|$)", each) for each in column(kind))


def test_every_corner_passed():
    assert [result for result in column("tests") if not re.fullmatch(r"[1-9]\d+ passed", result)] == []


def test_the_library_ran_with_and_without_uvloop():
    assert {each == "none" for each in column("uvloop")} == {True, False}
