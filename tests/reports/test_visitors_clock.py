"""A visitor's clock that is wrong, or that is set while a page is open."""

import re

import pytest
from playwright.sync_api import expect

from tests.reports.test_text_is_the_users import is_back, wait_until_kept

WRONG = "Date.now = ((now) => () => now() + {milliseconds})(Date.now.bind(Date));"
# Makes the page repeat its intervals each second.
QUICK = "setInterval = ((repeat) => (run, ms) => repeat(run, Math.min(ms, 1000)))(setInterval);"
CLOCKS = {"6 min fast": 6 * 60_000, "a day fast": 86400_000, "10 min slow": -600_000, "a year slow": -365 * 86400_000}


@pytest.fixture(params=CLOCKS, ids=[name.replace(" ", "-") for name in CLOCKS])
def late_bob(request, seat, stack):
    """Bob on a computer with a wrong clock."""
    bob = seat(stack, "bob")
    bob.page.add_init_script(WRONG.format(milliseconds=CLOCKS[request.param]))
    return bob


def test_a_visitor_whose_clock_is_wrong_sees_toasts(ada, late_bob):
    """My computer's clock is six minutes fast, and the page never shows me any news."""
    late_bob.goto("/notifications/")
    ada.write("Seen by any clock")
    expect(late_bob.toast("ada created Seen by any clock")).to_be_visible()
    expect(late_bob.find("[data-events] li").first.locator("time")).to_have_text("just now")


def test_times_on_a_page_go_by_the_server_s_clock(ada, late_bob):
    """A minute after I opened the page, all events in my list had happened "in 10 minutes" or a year ago."""
    ada.write("Written a minute ago")
    late_bob.page.add_init_script(QUICK)
    late_bob.goto("/notifications/")
    row = late_bob.find("[data-events] li").filter(has_text="Written a minute ago").first
    expect(row.locator("time")).to_have_text("just now")
    # The page updates a time at its next interval. Add a time that is three hours old, too.
    late_bob.page.evaluate(
        """() => {
          const time = document.querySelector("[data-events] time");
          const old = time.cloneNode();
          old.dataset.test = "";
          old.dateTime = new Date(Date.parse(time.dateTime) - 3 * 3600_000).toISOString();
          document.body.append(old);
        }"""
    )
    expect(late_bob.find("time[data-test]")).to_have_text("3 hours ago")
    expect(row.locator("time")).to_have_text(re.compile("^(just now|1 minute ago)$"))


def test_a_clock_that_is_set_while_the_page_is_open_changes_nothing(ada, bob):
    """My computer corrected its clock, and since then no news is shown."""
    bob.goto("/notifications/")
    bob.page.evaluate(WRONG.format(milliseconds=3600_000))
    ada.write("After the clock was set")
    expect(bob.toast("ada created After the clock was set")).to_be_visible()
    expect(bob.find("[data-live-state]")).to_have_attribute("data-live-state", "live")
    expect(bob.find("html")).to_have_attribute("data-states", re.compile("^( connecting)* live$"))


def test_the_lease_s_countdown_runs_by_no_clock_that_can_be_set(ada, bob):
    """I asked to take over, my clock was corrected, and the page counted down from an hour."""
    slug = ada.write("Asked for while a clock is set")
    for person in (ada, bob):
        person.goto(f"/documents/{slug}/edit/")
    expect(bob.find("[data-editor]")).to_have_attribute("data-lease", "theirs")
    bob.page.evaluate(WRONG.format(milliseconds=-3600_000))
    bob.page.get_by_role("button", name="Ask to take over").click()
    bob.page.evaluate(WRONG.format(milliseconds=7200_000))
    expect(bob.find("[data-lease-left]")).to_have_text(re.compile(r"^2\d s$"))
    expect(bob.find("[data-lease-left]")).to_have_text(re.compile(r"^2[0-6] s$"))


def test_a_holder_whose_clock_is_set_types_on(ada):
    """My clock was corrected by an hour while I wrote, and the page took the edit lease from me."""
    slug = ada.write("Written while a clock is set", "one")
    ada.goto(f"/documents/{slug}/edit/")
    expect(ada.find("[data-editor]")).to_have_attribute("data-lease", "mine")
    ada.page.evaluate(
        """() => {
          window.leases = [];
          const form = document.querySelector("[data-editor]");
          const note = () => leases.push(form.dataset.lease);
          new MutationObserver(note).observe(form, { attributeFilter: ["data-lease"] });
        }"""
    )
    ada.page.evaluate(WRONG.format(milliseconds=3600_000))
    ada.page.wait_for_timeout(1500)  # the page checks its lease each second
    expect(ada.find("[data-editor]")).to_have_attribute("data-lease", "mine")
    assert "unsure" not in ada.page.evaluate("leases")
    ada.page.get_by_label("Text").press_sequentially("two ")
    expect(ada.page.get_by_label("Text")).to_have_value(re.compile("two "))


def test_text_that_was_typed_by_a_wrong_clock_is_not_old(ada):
    """The clock of my computer was a year behind. It was corrected, and my unsaved text was lost."""
    path = f"/documents/{ada.write('Typed last year', 'one')}/edit/"
    ada.goto("/")
    tab = ada.page.context.new_page()
    tab.add_init_script(WRONG.format(milliseconds=CLOCKS["a year slow"]))
    tab.goto(f"{ada.url}{path}")
    tab.get_by_label("Text").fill("one, and an hour of work")
    wait_until_kept(ada, 1)
    tab.close(run_before_unload=False)
    ada.goto(path)
    is_back(ada, "one, and an hour of work")
