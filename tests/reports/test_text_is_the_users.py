"""A user's text must not be lost: the browser restores typed text until the server has it."""

import re
import time

import pytest
from playwright.sync_api import expect

from tests.browsers import TIMEOUT_MS
from tests.reports.test_doing_it_twice import drop_answers
from tests.stack import SESSION_COOKIE

WRITTEN = "Object.keys(localStorage).filter((key) => key.startsWith('tidewire.draft.')).length"


def until(page, expression, value):
    """Wait for a value in the page. Playwright's own wait needs `eval`, which the pages forbid."""
    due = time.monotonic() + TIMEOUT_MS / 1000
    while (current := page.evaluate(expression)) != value:
        assert time.monotonic() < due, f"{expression} is {current}, not {value}"
        page.wait_for_timeout(50)


def text(person):
    return person.page.get_by_label("Text")


def wait_until_kept(person, count=1):
    """Wait until the browser has stored this number of drafts."""
    until(person.page, WRITTEN, count)


def type_in(person, path, body, title=None):
    """Open a form and type into it, and wait until the browser has stored the draft."""
    person.goto(path)
    if title:
        person.page.get_by_label("Title").fill(title)
    text(person).fill(body)
    wait_until_kept(person)


def end_session(person):
    person.page.context.clear_cookies(name=SESSION_COOKIE)


def log_in(person, name):
    person.page.get_by_label("Username").fill(name)
    person.page.get_by_label("Password").fill("demo")
    person.page.get_by_role("button", name="Log in").click()


def is_back(person, body):
    expect(text(person)).to_have_value(body)
    expect(person.find("[data-draft]")).to_contain_text(re.compile(r"Your unsaved text from \d\d:\d\d is back"))


def press(person, name):
    person.page.get_by_role("button", name=name, exact=True).click()


def test_a_session_that_ended_in_mid_edit_costs_no_text(ada):
    """I pressed Save and had to log in, and my text was lost."""
    slug = ada.write("Written through a logout", "one")
    type_in(ada, f"/documents/{slug}/edit/", "one, and an hour of work")
    end_session(ada)
    press(ada, "Save")
    ada.page.wait_for_url(re.compile("/login/"))
    log_in(ada, "ada")
    ada.page.wait_for_url(f"**/documents/{slug}/edit/")
    is_back(ada, "one, and an hour of work")
    press(ada, "Save")
    ada.page.wait_for_url(f"**/documents/{slug}/")
    expect(ada.find("article")).to_contain_text("an hour of work")
    wait_until_kept(ada, 0)


def test_a_session_that_ended_while_a_new_document_was_written_costs_no_text(ada):
    """The same must hold on the page of a new document."""
    type_in(ada, "/new/", "the first hour of work", title="New through a logout")
    end_session(ada)
    press(ada, "Create document")
    ada.page.wait_for_url(re.compile("/login/"))
    log_in(ada, "ada")
    ada.page.wait_for_url("**/new/")
    is_back(ada, "the first hour of work")
    press(ada, "Create document")
    expect(ada.find("article")).to_contain_text("the first hour of work")
    wait_until_kept(ada, 0)


@pytest.mark.parametrize("status", [500, 502, 413, 403])
def test_a_save_that_fails_costs_no_text(ada, status):
    """The page reported that something broke, and the page I went back to had the old text."""
    slug = ada.write(f"A save that fails with {status}", "one")
    path = f"/documents/{slug}/edit/"
    type_in(ada, path, "one, and more")
    ada.page.route("**/edit/", lambda route: route.fulfill(status=status, body="broken"))
    press(ada, "Save")
    expect(ada.find("body")).to_have_text("broken")
    ada.page.unroute("**/edit/")
    ada.goto(path)
    is_back(ada, "one, and more")


def test_a_save_without_a_network_costs_no_text(ada):
    """The train went into a tunnel as I pressed Save."""
    slug = ada.write("A save in a tunnel", "one")
    path = f"/documents/{slug}/edit/"
    type_in(ada, path, "one, and more")
    ada.page.context.set_offline(True)
    press(ada, "Save")
    ada.page.wait_for_url("chrome-error://**")
    ada.page.context.set_offline(False)
    ada.goto(path)
    is_back(ada, "one, and more")


@pytest.mark.parametrize("path", ["/new/", "edit"])
def test_a_tab_that_was_closed_costs_no_text(ada, path):
    """The browser crashed, or I closed the wrong tab."""
    if path == "edit":
        path = f"/documents/{ada.write('A tab that is closed', 'one')}/edit/"
    type_in(ada, path, "an hour of work", title="A title of its own")
    first, ada.page = ada.page, ada.page.context.new_page()
    first.close(run_before_unload=False)
    ada.goto(path)
    is_back(ada, "an hour of work")
    expect(ada.page.get_by_label("Title")).to_have_value("A title of its own")


def test_the_text_of_a_conflict_comes_back_and_overwrites_nothing(ada, bob):
    """I closed the page of the conflict, and thought that my text was lost; either it was, or the other one was."""
    slug = ada.write("A conflict that is closed", "one")
    path = f"/documents/{slug}/edit/"
    type_in(ada, path, "one by ada")
    bob.goto(path)
    bob.write_anyway()
    bob.save("ONE by bob")
    bob.page.wait_for_url(f"**/documents/{slug}/")
    press(ada, "Save")
    expect(ada.find("[data-conflict]")).to_contain_text("Two people wrote at once")
    ada.goto("/")
    ada.goto(path)
    is_back(ada, "one by ada")
    expect(ada.find("[data-draft]")).to_contain_text("The document has been saved since you began")
    press(ada, "Save")
    expect(ada.find("[data-conflict]")).to_contain_text("Two people wrote at once")
    text(ada).fill("one by both")
    press(ada, "Save over version 2")
    ada.page.wait_for_url(f"**/documents/{slug}/")
    expect(ada.find("article")).to_contain_text("one by both")
    wait_until_kept(ada, 0)


def test_text_for_a_document_that_was_deleted_meanwhile_is_offered(ada, bob):
    """My session ended, the document was deleted, and after the login I got a 404 in place of my text."""
    slug = ada.write("Deleted behind a login", "one")
    type_in(bob, f"/documents/{slug}/edit/", "bob's hour of work")
    end_session(bob)
    ada.goto(f"/documents/{slug}/delete/")
    press(ada, "Delete for everybody")
    press(bob, "Save")
    log_in(bob, "bob")
    is_back(bob, "bob's hour of work")
    press(bob, "Save as a new document")
    expect(bob.find("article")).to_contain_text("bob's hour of work")
    wait_until_kept(bob, 0)


def test_a_session_that_ends_on_the_page_of_a_deleted_document_costs_no_text(ada):
    """The page offered my text as a new document, asked me to log in, and then showed an empty form."""
    slug = ada.write("Deleted, and then a logout", "one")
    type_in(ada, f"/documents/{slug}/edit/", "an hour of work")
    other = ada.page.context.new_page()
    other.goto(f"{ada.url}/documents/{slug}/delete/")
    other.get_by_role("button", name="Delete for everybody").click()
    other.wait_for_url(f"{ada.url}/")
    other.close()
    press(ada, "Save")
    expect(ada.find("[data-conflict]")).to_contain_text("Deleted while you were editing")
    end_session(ada)
    press(ada, "Save as a new document")
    ada.page.wait_for_url(re.compile("/login/"))
    log_in(ada, "ada")
    is_back(ada, "an hour of work")
    press(ada, "Save as a new document")
    expect(ada.find("article")).to_contain_text("an hour of work")
    wait_until_kept(ada, 0)


def test_the_list_leads_to_text_that_is_not_saved(ada):
    """My browser crashed, and I no longer knew which document I had been writing."""
    slug = ada.write("Written and forgotten", "one")
    type_in(ada, f"/documents/{slug}/edit/", "one, and an hour of work")
    ada.goto("/")
    link = ada.find("[data-unsaved-list]").get_by_role("link", name="Written and forgotten")
    link.click()
    is_back(ada, "one, and an hour of work")
    press(ada, "Save")
    ada.page.wait_for_url(f"**/documents/{slug}/")
    ada.goto("/")
    expect(ada.find("[data-unsaved-list]")).to_be_hidden()


def test_text_whose_save_was_never_answered_is_no_unsaved_text(ada):
    """The proxy responded with 502, the document existed, and its text was still listed as unsaved."""
    ada.goto("/new/")
    ada.page.get_by_label("Title").fill("Saved without an answer")
    drop_answers(ada, "**/new/", [1])
    press(ada, "Create document")
    expect(ada.find("body")).to_have_text("Bad gateway")
    ada.goto("/")
    expect(ada.find("[data-documents] [data-title]").first).to_have_text("Saved without an answer")
    until(ada.page, WRITTEN, 0)
    expect(ada.find("[data-unsaved-list]")).to_be_hidden()


def test_text_that_came_back_can_be_dropped_and_brought_back(ada):
    """I wanted the saved text, and could not discard the draft."""
    slug = ada.write("A draft to drop", "one")
    path = f"/documents/{slug}/edit/"
    type_in(ada, path, "no good")
    ada.goto(path)
    is_back(ada, "no good")
    press(ada, "Drop it")
    expect(text(ada)).to_have_value("one")
    wait_until_kept(ada, 0)
    press(ada, "Bring it back")
    expect(text(ada)).to_have_value("no good")
    wait_until_kept(ada)
    press(ada, "Drop it")
    ada.goto(path)
    expect(text(ada)).to_have_value("one")
    expect(ada.find("[data-draft]")).to_be_hidden()


def test_no_user_sees_the_text_of_another(ada, stack):
    """I logged in on a shared computer and saw the unsaved text of a colleague."""
    # A session of its own, which this test may end.
    end_session(ada)
    ada.page.goto(f"{stack.url}/login/")
    log_in(ada, "ada")
    ada.is_live()
    type_in(ada, "/new/", "ada's secret", title="A secret")
    ada.goto("/")
    ada.find("[data-menu] summary").click()
    press(ada, "Log out")
    log_in(ada, "bob")
    ada.goto("/new/")
    expect(text(ada)).to_have_value("")
    expect(ada.find("[data-draft]")).to_be_hidden()
    ada.page.goto(f"{stack.url}/logout/")
    press(ada, "Log out")
    log_in(ada, "ada")
    ada.goto("/new/")
    is_back(ada, "ada's secret")


def test_another_tab_that_is_open_keeps_its_text_to_itself(ada, stack):
    """I wrote two new documents in two tabs, and one of them took the other's text."""
    type_in(ada, "/new/", "the first", title="First")
    other = ada.page.context.new_page()
    other.goto(f"{stack.url}/new/")
    # Wait until the page has searched for drafts, after which it claims its own.
    held_locks = "navigator.locks.query().then(({ held }) => held.filter((lock) => lock.name.includes('.new.')).length)"
    until(other, held_locks, 2)
    expect(other.get_by_label("Text")).to_have_value("")
    other.get_by_label("Title").fill("Second")
    other.get_by_label("Text").fill("the second")
    other.get_by_role("button", name="Create document").click()
    expect(other.locator("article")).to_contain_text("the second")
    expect(text(ada)).to_have_value("the first")
    press(ada, "Create document")
    expect(ada.find("article")).to_contain_text("the first")
    wait_until_kept(ada, 0)


def test_a_full_or_blocked_store_keeps_nothing_and_says_so(ada):
    """In a private window the page broke, or let me believe that my text was kept."""
    slug = ada.write("A browser without a store", "one")
    ada.page.add_init_script(
        "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); };"
    )
    ada.goto(f"/documents/{slug}/edit/")
    text(ada).fill("one, and more")
    expect(ada.find("[data-draft]")).to_contain_text("This browser keeps no copy of your text")
    press(ada, "Save")
    ada.page.wait_for_url(f"**/documents/{slug}/")
    expect(ada.find("article")).to_contain_text("one, and more")


FULL = """Storage.prototype.setItem = () => { throw new DOMException("full", "QuotaExceededError"); };"""
# Space for the existing keys and for 50 more characters.
ALMOST_FULL = """(() => {
  const set = Storage.prototype.setItem;
  const size = (store, key) => (store.getItem(key) ?? "").length;
  let room;
  Storage.prototype.setItem = function (key, value) {
    const all = () => Object.keys(this).reduce((sum, each) => sum + size(this, each), 0);
    room ??= all() + 50;
    if (all() - size(this, key) + value.length > room) throw new DOMException("full", "QuotaExceededError");
    set.call(this, key, value);
  };
})();"""


@pytest.mark.parametrize("store", [FULL, ALMOST_FULL], ids=["full", "almost full"])
def test_a_text_that_cannot_be_kept_costs_no_other(ada, store):
    """I typed while the disk was full, and lost the texts that I had typed before on three other pages."""
    slug = ada.write("A browser whose store is full", "one")
    ada.goto("/")
    ada.page.evaluate(
        """() => {
          for (let i = 0; i < 3; i += 1) {
            const draft = { at: Date.now(), title: "t", body: "b", version: "1", submission: `${i}` };
            localStorage.setItem(`tidewire.draft.${document.body.dataset.userId}.doc-${i}.${i}`, JSON.stringify(draft));
          }
        }"""
    )
    ada.page.add_init_script(store)
    ada.goto(f"/documents/{slug}/edit/")
    text(ada).fill("long " * 1000)
    expect(ada.find("[data-draft]")).to_contain_text("This browser keeps no copy of your text")
    wait_until_kept(ada, 3)


def test_drafts_are_bounded(ada):
    """A browser must not fill up with forgotten texts."""
    ada.goto("/")
    ada.page.evaluate(
        """() => {
          const user = document.body.dataset.userId;
          for (let i = 0; i < 30; i += 1) {
            const draft = { at: Date.now() - i * 1000, title: "t", body: "b", version: "1", submission: `${i}` };
            localStorage.setItem(`tidewire.draft.${user}.doc-${i}.${i}`, JSON.stringify(draft));
          }
          const old = { at: Date.now() - 40 * 86400000, title: "t", body: "b", version: "1", submission: "o" };
          localStorage.setItem("tidewire.draft.999.doc-1.o", JSON.stringify(old));
        }"""
    )
    ada.goto("/people/")
    assert ada.page.evaluate(WRITTEN) == 20
