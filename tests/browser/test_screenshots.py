"""The two pages in the README's pictures, light and dark, with connected users.

With TIDEWIRE_SCREENSHOTS=1 the pictures are written to docs/screenshots. Otherwise they are checked and deleted.
"""

import pytest
from playwright.sync_api import expect

from tests.browsers import DESKTOP

AGENDA, NOTES, CHECKLIST = "agenda-thursday-planning-7", "customer-notes-harbour-logistics-8", "release-checklist-6"


@pytest.fixture(scope="module")
def fresh_stack(stack_factory):
    """The demo in its state after `make up`, without the documents of other tests."""
    with stack_factory() as stack:
        yield stack


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_list_with_live_badges(fresh_stack, seat, picture, scheme):
    ada, bob, eve = (
        seat(fresh_stack, name, color_scheme=scheme, reduced_motion="reduce") for name in ("ada", "bob", "eve")
    )
    eve_too = seat(fresh_stack, "eve")
    bob.goto(f"/documents/{NOTES}/edit/")
    eve.goto(f"/documents/{NOTES}/")
    eve_too.goto(f"/documents/{CHECKLIST}/")
    ada.goto("/")
    expect(ada.badge(NOTES)).to_contain_text("bob is editing")
    expect(ada.badge(NOTES)).to_contain_text("eve is reading")
    expect(ada.badge(CHECKLIST)).to_have_attribute("data-phase", "read")
    expect(ada.find("[data-users-count]")).to_have_text("3")
    expect(ada.find("[data-toast]")).to_have_count(0)
    assert ada.page.viewport_size == DESKTOP
    picture(ada.page, f"list-{scheme}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_editing_conflict(fresh_stack, seat, picture, scheme):
    ada, bob = (seat(fresh_stack, name, color_scheme=scheme, reduced_motion="reduce") for name in ("ada", "bob"))
    for person in (ada, bob):
        person.goto(f"/documents/{AGENDA}/edit/")
    text = ada.page.get_by_label("Text").input_value()
    # The second scheme finds the text that the first has saved.
    line = next(line for line in text.splitlines() if line.startswith("10:15"))
    bob.write_anyway()
    # The text must differ from the saved one, or it would not count as a save.
    weeks = {"light": "two", "dark": "three"}[scheme]
    bob.save(text.replace(line, f"10:15  Search: ship it with the old ranking, measure for {weeks} weeks (bob)"))
    bob.page.wait_for_url(f"**/documents/{AGENDA}/")
    bob.goto(f"/documents/{AGENDA}/edit/")
    ada.save(text.replace(line, "10:15  Search: wait two weeks for the new ranking (ada, bob)"))
    expect(ada.find("[data-conflict]")).to_be_visible()
    ada.is_live()
    expect(ada.find("[data-second-editor]")).to_contain_text("bob is editing")
    expect(ada.find("[data-users-count]")).to_have_text("2")
    expect(ada.find("[data-toast]")).to_have_count(0)
    picture(ada.page, f"conflict-{scheme}")
