"""Edge cases of the pages' scripts: hostile text, bursts, missed events, the browser's own notifications."""

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from web.templatetags.people import hue

ATTACK = '<img src=x onerror="window.attacked=1"><script>window.attacked=1</script>'

# Records the notifications without showing them.
FAKE_NOTIFICATIONS = """
window.shown = [];
window.Notification = class extends EventTarget {
  static permission = "default";
  static async requestPermission() {
    return (Notification.permission = window.answer ?? "granted");
  }
  constructor(title, options) {
    super();
    window.shown.push([title, options.body]);
  }
};
Object.defineProperty(document, "hidden", { get: () => window.away === true });
"""

# A page after a night asleep: its position is older than the history in Redis, and its list is from yesterday. This
# `readyState` comes just before the page's own scripts.
ASLEEP_SINCE_YESTERDAY = """
document.addEventListener("readystatechange", () => {
  if (document.readyState !== "interactive") return;
  document.body.dataset.position = "1:1";
  document.querySelector("[data-events]").replaceChildren();
});
"""


def test_text_from_events_is_text(ada, bob):
    """The toast, both lists and the page's warnings must show the text without interpreting it as HTML."""
    slug = ada.write("Harmless")
    bob.goto("/")
    elsewhere = bob.page.context.new_page()
    elsewhere.goto(f"{bob.url}/notifications/")
    expect(elsewhere.locator("[data-live-state]")).to_have_attribute("data-live-state", "live")

    ada.goto(f"/documents/{slug}/edit/")
    ada.page.get_by_label("Title").fill(ATTACK)
    ada.save(ATTACK)
    expect(bob.toast(ATTACK)).to_be_visible()
    expect(bob.find(f'[data-document="{slug}"] [data-title]')).to_have_text(ATTACK)
    expect(elsewhere.locator("[data-events] li").first).to_contain_text(ATTACK)
    bob.goto(f"/documents/{slug}/")
    expect(bob.find("h1")).to_have_text(ATTACK)
    for page in (bob.page, elsewhere, ada.page):
        assert page.evaluate("window.attacked") is None
        assert page.locator("main img, .toasts img").count() == 0


@pytest.mark.parametrize("name", ["ada", "bob", "Ünal", "李", "👩‍🚀 x", "a" * 150])
def test_names_have_the_same_colour_from_either_language(ada, name):
    ada.goto("/people/")
    colours = ada.page.evaluate(
        """async (name) => {
          const main = document.querySelector("script[type=module]").src;
          const source = await (await fetch(main)).text();
          const pages = new URL(source.match(/"(\\.\\/page-people[^"]*)"/)[1], main);
          const people = new URL((await (await fetch(pages)).text()).match(/"(\\.\\/people[^"]*)"/)[1], main);
          return (await import(people)).face(name).className;
        }""",
        name,
    )
    assert colours == f"face hue-{hue(name)}"


def test_a_burst_does_not_cover_the_page(ada, bob):
    slug = ada.write("Burst")
    bob.goto("/notifications/")
    # The next page begins after the creation, which would be one more toast on a busy machine.
    expect(bob.page.get_by_text("Burst").first).to_be_visible()
    bob.page.clock.install()
    bob.goto("/people/")
    bob.page.clock.pause_at(datetime.now(UTC) + timedelta(seconds=1))  # no toast expires
    for number in range(5):
        ada.goto(f"/documents/{slug}/edit/")
        ada.save(f"text {number}")
        ada.page.wait_for_url(f"**/documents/{slug}/")
    # Five saves and one start of editing (five visits are one notification): three toasts and three more.
    expect(bob.find("[data-toasts] [data-more]")).to_have_text(" and 3 more")
    expect(bob.find("[data-toasts] [data-toast]")).to_have_count(3)


def test_the_browser_notifies_only_when_asked_to_and_only_who_is_away(ada, seat, stack):
    bob = seat(stack, "bob")
    bob.page.add_init_script(FAKE_NOTIFICATIONS)
    bob.goto("/notifications/")
    assert bob.page.evaluate("Notification.permission") == "default"
    ask = bob.page.get_by_role("button", name="Notify me on this computer")
    ask.click()
    expect(bob.find("[data-ask-result]")).to_contain_text("You will be notified")
    expect(ask).to_be_hidden()

    ada.write("Seen on the page")
    expect(bob.toast("Seen on the page")).to_be_visible()
    assert bob.page.evaluate("shown") == []
    bob.page.evaluate("window.away = true")
    ada.write("Seen elsewhere")
    expect(bob.toast("Seen elsewhere")).to_be_visible()
    assert bob.page.evaluate("shown") == [["Seen elsewhere", "\u2068ada\u2069 created it"]]


def test_a_refused_permission_is_explained(seat, stack):
    bob = seat(stack, "bob")
    bob.page.add_init_script(FAKE_NOTIFICATIONS + "window.answer = 'denied';")
    bob.goto("/notifications/")
    bob.page.get_by_role("button", name="Notify me on this computer").click()
    expect(bob.find("[data-ask-result]")).to_contain_text("blocked for this site")


def test_a_page_that_cannot_catch_up_reloads_its_list(ada, bob):
    ada.write("Missed")
    bob.page.add_init_script(ASLEEP_SINCE_YESTERDAY)
    bob.goto("/notifications/")
    expect(bob.find("[data-events] li").first).to_contain_text("ada created Missed")


def test_the_count_is_asked_for_again_when_the_page_is_looked_at(ada, bob):
    bob.goto("/notifications/")
    ada.write("Read in another tab")
    expect(bob.toast("Read in another tab")).to_be_visible()
    other = bob.page.context.new_page()
    other.goto(f"{bob.url}/notifications/")
    other.get_by_role("button", name="Mark all as read").click()
    expect(other.locator("[data-unread]")).to_be_hidden()
    other.close()
    bob.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(bob.find("[data-unread]")).to_be_hidden()


def test_logging_out_elsewhere_ends_the_live_page(stack, chromium):
    """The test needs a session of its own, so that the other tests keep theirs."""
    context = chromium.new_context()
    for cookie in stack.login("eve").split("; "):
        key, _, value = cookie.partition("=")
        context.add_cookies([{"name": key, "value": value, "url": stack.url}])
    page, other = context.new_page(), context.new_page()
    for each in (page, other):
        each.goto(f"{stack.url}/")
        expect(each.locator("[data-live-state]")).to_have_attribute("data-live-state", "live")
    other.locator("[data-menu] summary").click()
    other.get_by_role("button", name="Log out").click()
    other.wait_for_url("**/login/")
    expect(page.locator("[data-signed-out]")).to_be_visible()
    expect(page.locator("[data-live-state]")).to_have_attribute("data-live-state", "closed")
    expect(page.locator("[data-live-state]")).to_have_text("Offline")
    context.close()
