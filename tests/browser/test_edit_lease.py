"""Two people on one document: one writes, the other asks, and a holder must be notified before typing after a loss."""

import re
import signal

import pytest
from playwright.sync_api import expect

from tests.browser.test_access import PHONE, faults
from tests.browsers import DESKTOP
from tests.stack import ONE_WORKER

RECONNECT_MS = 40_000
# A lease, with additional time for a busy machine.
LEASE_MS = 60_000
# A code that is neither final nor caused by the page, so that the client reconnects.
RECONNECT_CODE = 3001


def edit(person, slug):
    """Open the editing page and wait until it shows the holder of the lease."""
    person.goto(f"/documents/{slug}/edit/")
    expect(form(person)).to_have_attribute("data-lease", re.compile("^(mine|asked|theirs)$"))


def form(person):
    return person.find("[data-editor]")


def notice(person):
    return person.find("[data-lease-panel] [role=alert]")


def press(person, name):
    person.page.get_by_role("button", name=name, exact=True).click()


def text(person):
    return person.page.get_by_label("Text")


def test_who_is_asked_hands_over_and_cannot_type_on(ada, bob):
    slug = ada.write("A document for one at a time", "one\ntwo")
    edit(ada, slug)
    edit(bob, slug)
    expect(notice(bob)).to_have_text("ada is writing this document.")
    expect(text(bob)).to_have_js_property("readOnly", True)
    expect(text(ada)).to_be_editable()
    text(ada).fill("one\ntwo by ada")

    press(bob, "Ask to take over")
    expect(notice(bob)).to_contain_text("You have asked ada.")
    expect(bob.find("[data-lease-left]")).to_have_text(re.compile(r"^\d+ s$"))
    expect(notice(ada)).to_contain_text("bob would like to write.")
    expect(text(ada)).to_be_editable()
    press(ada, "Hand over")

    expect(notice(ada)).to_contain_text("bob is writing this document now.")
    expect(notice(bob)).to_have_text("It is yours to write now.")
    text(ada).focus()
    ada.page.keyboard.type("too late")
    expect(text(ada)).to_have_value("one\ntwo by ada")

    # The fence decides, whatever the state of the lease: the late save is refused, and both versions are shown.
    bob.save("one\nTWO by bob")
    bob.page.wait_for_url(f"**/documents/{slug}/")
    expect(ada.find("[data-changed]")).to_contain_text("bob saved a newer version")
    press(ada, "Save")
    conflict = ada.find("[data-conflict]")
    expect(conflict.locator(".is-yours .differs")).to_have_text(["Differs: two by ada"])
    expect(conflict.locator(".is-theirs .differs")).to_have_text(["Differs: TWO by bob"])
    # bob has left, so ada holds the lease of the page that merges.
    expect(text(ada)).to_be_editable()


def test_a_holder_may_keep_it_and_the_asker_may_write_anyway(ada, bob):
    slug = ada.write("A document that ada keeps", "one")
    edit(ada, slug)
    edit(bob, slug)
    press(bob, "Ask to take over")
    press(ada, "Keep writing")
    expect(notice(bob)).to_have_text("ada would like to go on writing.")
    expect(ada.find("[data-lease-panel]")).to_be_hidden()
    bob.write_anyway()
    expect(text(bob)).to_be_focused()
    bob.page.keyboard.type("bob ")
    expect(notice(bob)).to_contain_text("You are writing beside ada.")


def test_who_waits_is_next_and_starts_from_what_was_saved(ada, bob):
    """No click is needed: the other user saved and left, and this one had typed nothing."""
    slug = ada.write("A document with a queue", "one")
    edit(ada, slug)
    edit(bob, slug)
    ada.save("one, as ada saved it")
    ada.page.wait_for_url(f"**/documents/{slug}/")
    expect(form(bob)).to_have_attribute("data-lease", "mine")
    expect(text(bob)).to_have_value("one, as ada saved it")
    expect(text(bob)).to_be_editable()


def test_a_reload_keeps_it(ada, bob):
    slug = ada.write("A document that is reloaded", "one")
    edit(ada, slug)
    edit(bob, slug)
    ada.page.reload()
    expect(form(ada)).to_have_attribute("data-lease", "mine")
    expect(form(bob)).to_have_attribute("data-lease", "theirs")


def test_one_s_own_second_tab_shares_it(ada, stack):
    slug = ada.write("A document in two tabs", "one")
    edit(ada, slug)
    other = ada.page.context.new_page()
    other.goto(f"{stack.url}/documents/{slug}/edit/")
    expect(other.locator("[data-editor]")).to_have_attribute("data-lease", "mine")
    other.close()


class Lid:
    """The lid of a laptop: when it closes, the page's sockets are lost, and none can be opened until it is lifted."""

    def __init__(self, person):
        self._person = person
        self._closed = False
        self._sockets = []
        person.page.route_web_socket(re.compile("/ws/"), self._open)

    def close(self):
        self._closed = True
        for socket in self._sockets:
            socket.close(code=RECONNECT_CODE)
        self._sockets.clear()

    def lift(self):
        self._closed = False
        # Click only if the button is enabled: the page may have reconnected already.
        self._person.find("[data-live-state]").dispatch_event("click")

    def _open(self, socket):
        if self._closed:
            socket.close(code=RECONNECT_CODE)
        else:
            self._sockets += [socket.connect_to_server(), socket]


def test_the_first_key_after_a_sleep_waits_until_it_is_known_whose_turn_it_is(ada):
    slug = ada.write("A document under a lid", "one")
    lid = Lid(ada)
    edit(ada, slug)
    text(ada).fill("one, and more")
    lid.close()
    expect(ada.find("[data-live-state]")).to_have_attribute("data-live-state", "reconnecting")
    ada.page.evaluate("Date.now = ((now) => () => now() + 30_000)(Date.now.bind(Date))")
    text(ada).focus()
    ada.page.keyboard.type("x")
    expect(text(ada)).to_have_value("one, and more")
    expect(notice(ada)).to_contain_text("The connection is lost")

    # Writing is possible without it, and the lease is unchanged if the page reconnects in time.
    ada.write_anyway()
    ada.page.keyboard.press("Control+End")
    ada.page.keyboard.type("!")
    expect(text(ada)).to_have_value("one, and more!")
    lid.lift()
    expect(form(ada)).to_have_attribute("data-lease", "mine")
    expect(text(ada)).to_be_editable()


def test_who_lost_it_in_their_sleep_is_told_before_they_type_on(ada, bob):
    slug = ada.write("A document that changes hands", "one")
    lid = Lid(ada)
    edit(ada, slug)
    text(ada).fill("one by ada")
    edit(bob, slug)
    lid.close()
    # The whole lease must expire, because a closed lid does not close the page.
    expect(form(bob)).to_have_attribute("data-lease", "gained", timeout=LEASE_MS)
    expect(text(ada)).to_have_js_property("readOnly", True)
    lid.lift()
    expect(notice(ada)).to_contain_text("bob is writing this document now.")
    text(ada).focus()
    ada.page.keyboard.type("too late")
    expect(text(ada)).to_have_value("one by ada")
    expect(ada.page.get_by_role("link", name="See what is saved")).to_have_attribute("href", f"/documents/{slug}/")

    press(ada, "Ask to take over")
    press(bob, "Hand over")
    expect(notice(ada)).to_have_text("It is yours to write now.")
    expect(text(ada)).to_have_value("one by ada")
    expect(notice(bob)).to_contain_text("ada is writing this document now.")


def test_without_redis_pages_say_so_and_the_fence_protects(start_stack, seat):
    stack = start_stack(ws=1, **ONE_WORKER)
    ada, bob = seat(stack, "ada"), seat(stack, "bob")
    slug = ada.write("A document without a lease", "one")
    edit(ada, slug)
    edit(bob, slug)
    stack.stop("redis", signal.SIGKILL)
    for person in (ada, bob):
        expect(notice(person)).to_contain_text("other editors are not shown.", timeout=RECONNECT_MS)
        expect(text(person)).to_be_editable()
    bob.save("one by bob")
    bob.page.wait_for_url(f"**/documents/{slug}/")
    ada.save("one by ada")
    expect(ada.find("[data-conflict] .is-theirs .differs")).to_have_text(["Differs: one by bob"])
    expect(text(ada)).to_have_value("one by ada")

    stack.start("redis")
    expect(form(ada)).to_have_attribute("data-lease", "mine", timeout=RECONNECT_MS)


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_whatever_it_says_fits_and_lacks_nothing(seat, stack, viewport):
    ada, bob = (seat(stack, name, viewport=viewport) for name in ("ada", "bob"))
    results = {}

    def check_page(person, state):
        expect(form(person)).to_have_attribute("data-lease", state)
        results[state] = faults(person.page, sizes={"": viewport})
        # News must never cover buttons that need an answer.
        for button in person.find("[data-lease-panel] button").filter(visible=True).all():
            button.click(trial=True)

    slug = ada.write("A document that is looked at", "09:00 Welcome\n" * 30)
    edit(ada, slug)
    edit(bob, slug)
    check_page(bob, "theirs")
    press(bob, "Ask to take over")
    check_page(bob, "asking")
    check_page(ada, "asked")
    press(ada, "Hand over")
    check_page(bob, "gained")
    check_page(ada, "lost")
    ada.write_anyway()
    check_page(ada, "anyway")
    assert not any(results.values()), results


def test_by_keyboard_from_the_text_and_read_out_once(ada, bob):
    """The next stop after the text is the answer, and the countdown is not read out."""
    slug = ada.write("A document by keyboard", "one")
    edit(ada, slug)
    edit(bob, slug)
    notice(ada).evaluate(
        "element => { window.alerts = 0; new MutationObserver(() => { window.alerts += 1; })"
        ".observe(element, { subtree: true, childList: true, characterData: true }); }"
    )
    press(bob, "Ask to take over")
    expect(ada.find("[data-lease-left]")).to_have_text("28 s")
    assert ada.page.evaluate("alerts") == 1
    expect(ada.find("[data-lease-left]")).to_have_attribute("aria-hidden", "true")
    text(ada).focus()
    ada.page.keyboard.press("Tab")
    ada.page.keyboard.press("Enter")
    expect(form(ada)).to_have_attribute("data-lease", "lost")
