"""Titles and names in all scripts, or without a visible character, on the pages that show them to others."""

import pytest
from playwright.sync_api import expect

ARABIC = "تقرير الربع الأول"
HEBREW = "דוח 2026"


def test_a_title_of_zero_width_spaces_is_refused(ada):
    """The link of a document could not be clicked, because its title was 0 px wide."""
    page = ada.goto("/new/")
    page.get_by_label("Title").fill("\u200b\u200b\u2060")
    page.get_by_label("Text").fill("kept")
    page.get_by_role("button", name="Create document").click()
    expect(page.locator(".errorlist")).to_contain_text("can be seen")
    expect(page.get_by_label("Text")).to_have_value("kept")


@pytest.mark.parametrize("title", [ARABIC, HEBREW])
def test_a_right_to_left_document_reads_from_the_right(ada, title):
    """My Arabic documents are aligned to the left, and their punctuation is at the wrong end."""
    slug = ada.write(title, f"{title}.\n\nAn English paragraph.")
    page = ada.goto(f"/documents/{slug}/")
    right_to_left = "element => getComputedStyle(element).direction"
    assert page.locator("h1").evaluate(right_to_left) == "rtl"
    paragraphs = page.locator(".prose p")
    assert [paragraphs.nth(n).evaluate(right_to_left) for n in range(2)] == ["rtl", "ltr"]
    at_its_start = (
        "element => { const range = document.createRange(); range.selectNodeContents(element);"
        " return element.getBoundingClientRect().right - range.getBoundingClientRect().right; }"
    )
    assert paragraphs.first.evaluate(at_its_start) < 2
    ada.goto(f"/documents/{slug}/edit/")
    assert page.get_by_label("Title").evaluate(right_to_left) == "rtl"
    assert page.get_by_label("Text").evaluate(right_to_left) == "rtl"


def test_a_title_does_not_turn_the_text_beside_it(ada, bob):
    """After "שלום (1)" the rest of the line is in the wrong direction."""
    bob.goto("/notifications/")
    ada.write("שלום (1)")
    event = bob.find("[data-events] li").first
    expect(event).to_contain_text("created")
    for place in (event.locator("a"), event.locator("b"), bob.toast("שלום").locator("a")):
        assert place.evaluate("element => getComputedStyle(element).unicodeBidi") in ("isolate", "plaintext")
    bob.goto("/")
    assert bob.find("[data-documents] [data-title]").first.get_attribute("dir") == "auto"


def test_a_title_cannot_reverse_what_follows(ada):
    """A file name with U+202E was shown as 'invoiceexe.pdf', although it is a program."""
    slug = ada.write("invoice\u202efdp.exe")
    ada.goto(f"/documents/{slug}/")
    expect(ada.find("h1")).to_have_text("invoicefdp.exe")


def test_a_very_long_word_stays_inside_the_page(ada):
    """A title without spaces made the whole page scroll sideways."""
    slug = ada.write("W" * 200, "w" * 2000)
    ada.goto(f"/documents/{slug}/")
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert ada.page.evaluate(overflow) == 0
    ada.goto("/")
    assert ada.page.evaluate(overflow) == 0
