"""The documentation: generated pages are up to date, and the index lists each page."""

import re

import pytest

from deploy.docs import reference

DOCS = reference.DOCS
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)[^)]*\)")
# Pages that are included in metrics.md.
PARTS = {"metrics-cost.md"}
MARKDOWN = sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))


@pytest.mark.parametrize("name", sorted(reference.pages()))
def test_a_page_that_is_written_from_the_code_is_up_to_date(name):
    """`make generate` writes the pages."""
    assert (DOCS / name).read_text(encoding="utf-8") == reference.pages()[name]


def test_each_setting_and_event_is_described():
    for name in ("settings.md", "events.md"):
        page = reference.pages()[name]
        assert "None" not in re.sub(r"default `[^`]*`", "", page), name


def test_the_fields_of_an_event_are_a_list():
    """The docstring's section `Args` has their descriptions."""
    page = reference.pages()["events.md"]
    assert "\n- `recovered`: True if all events after the client's position follow." in page
    assert "Args:" not in page


def test_the_index_has_each_page_once():
    listed = LINK.findall((DOCS / "README.md").read_text(encoding="utf-8"))
    assert sorted(listed) == sorted(set(MARKDOWN) - PARTS - {"README.md"})


def test_the_path_of_an_event_has_few_steps_and_their_files_exist():
    section = (DOCS / "fanout.md").read_text(encoding="utf-8").partition("## The path of an event")[2]
    steps = re.findall(r"^\d+\. .*\((`.*`)\)\.$", section.partition("\n##")[0], re.MULTILINE)
    assert 10 <= len(steps) <= 20
    named = [path for step in steps for path in re.findall(r"`([^`]+)`", step)]
    assert [path for path in named if not (DOCS.parent / "src" / "tidewire" / path).is_file()] == []


@pytest.mark.parametrize("name", MARKDOWN)
def test_each_linked_file_exists(name):
    page = DOCS / name
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []
