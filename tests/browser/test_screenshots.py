"""The two pages in the README's pictures, light and dark, with connected users, and its moving picture.

With TIDEWIRE_SCREENSHOTS=1 the pictures are written to docs/screenshots. Otherwise they are checked and deleted.
"""

import io

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browsers import DESKTOP
from tests.stack import ONE_WORKER

AGENDA, NOTES, CHECKLIST = "agenda-thursday-planning-7", "customer-notes-harbour-logistics-8", "release-checklist-6"


@pytest.fixture(scope="module")
def fresh_stack(stack_factory):
    """The demo in its state after `make up`, without the documents of other tests."""
    with stack_factory(**ONE_WORKER) as stack:
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


COLOURS = 96


class Film:
    """Two browsers side by side, as an animated GIF: one frame for each step."""

    SIZE = {"width": 560, "height": 520}
    GAP = 12

    def __init__(self, *people):
        self.people = people
        self._frames: list[Image.Image] = []
        self._durations: list[int] = []

    def frame(self, milliseconds):
        shots = [person.page.screenshot(animations="disabled", caret="hide") for person in self.people]
        pages = [Image.open(io.BytesIO(shot)).convert("RGB") for shot in shots]
        width, height = pages[0].size
        both = Image.new("RGB", (2 * width + self.GAP, height), "#888")
        for number, page in enumerate(pages):
            both.paste(page, (number * (width + self.GAP), 0))
        self._frames.append(both)
        self._durations.append(milliseconds)

    def write(self, path):
        # One palette and no dithering, so that equal areas of two frames stay equal and take no space.
        width, height = self._frames[0].size
        sheet = Image.new("RGB", (width, height * len(self._frames)))
        for number, frame in enumerate(self._frames):
            sheet.paste(frame, (0, number * height))
        palette = sheet.quantize(COLOURS)
        first, *others = (frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in self._frames)
        first.save(path, save_all=True, append_images=others, duration=self._durations, loop=0, optimize=True)


def test_two_people_at_once(fresh_stack, seat, picture_file):
    ada, bob = (
        seat(fresh_stack, name, viewport=Film.SIZE, color_scheme="light", reduced_motion="reduce")
        for name in ("ada", "bob")
    )
    film = Film(ada, bob)
    for person in (ada, bob):
        person.goto("/")
    expect(ada.find("[data-users-count]")).to_have_text("2")
    film.frame(1500)
    bob.goto(f"/documents/{NOTES}/")
    expect(ada.badge(NOTES)).to_contain_text("bob is reading")
    film.frame(1500)
    bob.goto(f"/documents/{NOTES}/edit/")
    expect(ada.badge(NOTES)).to_contain_text("bob is editing")
    film.frame(1500)
    text = bob.page.get_by_label("Text").input_value()
    bob.page.get_by_label("Text").fill(f"Call them back on Monday (bob)\n{text}")
    film.frame(1000)
    bob.page.get_by_role("button", name="Save", exact=True).click()
    bob.page.wait_for_url(f"**/documents/{NOTES}/")
    bob.is_live()
    expect(ada.toast("bob updated")).to_be_visible()
    film.frame(2500)
    ada.goto(f"/documents/{NOTES}/")
    expect(ada.page.get_by_text("Call them back on Monday")).to_be_visible()
    expect(ada.page.get_by_text("bob is reading").first).to_be_attached()
    expect(bob.page.get_by_text("ada is reading").first).to_be_attached()
    film.frame(2500)
    film.write(picture_file("two-browsers.gif"))
