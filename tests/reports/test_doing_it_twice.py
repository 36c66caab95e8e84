"""A form that is sent twice does its work once, and the page reports the repeat."""

import re
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from loadtest.clients.browser import Page
from tests.http_client import fetch
from tests.postgres import Postgres, why_not
from tests.stack import PREPARE_SECONDS, SESSION_COOKIE

COPIES = 6


def text(person):
    return person.page.get_by_label("Text")


def press(person, name):
    person.page.get_by_role("button", name=name, exact=True).click()


def double_click(person, name):
    person.page.get_by_role("button", name=name, exact=True).dblclick()


def titles(person):
    person.goto("/")
    return person.find("[data-documents] [data-title]").all_inner_texts()


class Stay(urllib.request.HTTPRedirectHandler):
    """An opener that does not follow the redirect: the response to the form is enough."""

    def redirect_request(self, *_arguments):
        return None

    def http_error_302(self, _request, answer, *_):
        return answer


def carry_out(request):
    """Send the form outside the browser, so that the browser receives neither the response nor its cookies."""
    headers = {**request.all_headers(), "Host": urlsplit(request.url).netloc}
    sent = urllib.request.Request(request.url, request.post_data_buffer, headers)  # noqa: S310
    urllib.request.build_opener(urllib.request.ProxyHandler({}), Stay).open(sent, timeout=20).close()


def send_twice(person, path):
    """Send each form to the server twice, as a double click does. The browser receives the second response."""

    def send(route):
        if route.request.method == "POST":
            carry_out(route.request)
        route.continue_()

    person.page.route(path, send)


def drop_answers(person, path, answers):
    """Let the server process a form for each item of `answers`, and let the browser receive 502."""

    def lose(route):
        if route.request.method != "POST" or not answers:
            route.continue_()
            return
        answers.pop()
        carry_out(route.request)
        route.fulfill(status=502, content_type="text/html", body="<p>Bad gateway")

    person.page.route(path, lose)


def test_a_double_click_on_save_saves_once(ada):
    """I double-clicked Save, and the page reported a conflict between two people: me and me."""
    slug = ada.write("Saved by a double click", "one")
    ada.goto(f"/documents/{slug}/edit/")
    text(ada).fill("two")
    double_click(ada, "Save")
    expect(ada.find("article")).to_contain_text("two")
    expect(ada.find("article")).to_contain_text("version 2")
    expect(ada.find("[role=status]").get_by_text("Saved.")).to_have_count(1)


def test_a_double_click_on_create_makes_one_document(ada):
    """I double-clicked Create, and there were two documents."""
    ada.goto("/new/")
    ada.page.get_by_label("Title").fill("Created by a double click")
    send_twice(ada, "**/new/")
    press(ada, "Create document")
    expect(ada.find("article")).to_contain_text("Created by a double click")
    assert titles(ada).count("Created by a double click") == 1


def test_a_double_click_on_delete_deletes_and_says_so(ada):
    """I double-clicked Delete and got an error for a document that was deleted as I wanted."""
    slug = ada.write("Deleted by a double click")
    ada.goto(f"/documents/{slug}/delete/")
    send_twice(ada, "**/delete/")
    press(ada, "Delete for everybody")
    expect(ada.find("[role=status]").get_by_text(re.compile("deleted"))).not_to_have_count(0)
    assert "Deleted by a double click" not in titles(ada)


@pytest.mark.parametrize("way", ["reload", "back"])
def test_create_after_a_lost_answer_makes_one_document(ada, way):
    """The proxy responded with 502. I tried again, and there were two documents."""
    title = f"Created behind a 502, {way}"
    ada.goto("/new/")
    ada.page.get_by_label("Title").fill(title)
    drop_answers(ada, "**/new/", [1])
    press(ada, "Create document")
    expect(ada.find("body")).to_have_text("Bad gateway")
    if way == "reload":
        ada.page.reload()
        expect(ada.find("article")).to_contain_text(title)
    else:
        ada.page.go_back()
        expect(ada.find("[data-draft-text]")).to_contain_text("is saved, and is in the list of documents")
        expect(ada.page.get_by_label("Title")).to_have_value("")
    assert titles(ada).count(title) == 1


def test_save_after_a_lost_answer_saves_once(ada):
    """The proxy responded with 502. I reloaded, and the page reported a conflict with myself."""
    slug = ada.write("Saved behind a 502", "one")
    ada.goto(f"/documents/{slug}/edit/")
    text(ada).fill("two")
    drop_answers(ada, "**/edit/", [1])
    press(ada, "Save")
    expect(ada.find("body")).to_have_text("Bad gateway")
    ada.page.reload()
    expect(ada.find("article")).to_contain_text("version 2")


def test_back_after_create_and_the_same_again_makes_one_document(ada):
    """I went back and pressed Create once more."""
    ada.goto("/new/")
    ada.page.get_by_label("Title").fill("Created and gone back to")
    text(ada).fill("body")
    press(ada, "Create document")
    expect(ada.find("article")).to_be_visible()
    ada.page.go_back()
    ada.is_live()
    # The server has the text, so the form must be a new one, with nothing of the old one left to send.
    expect(text(ada)).to_have_value("")
    assert titles(ada).count("Created and gone back to") == 1


def test_back_after_a_save_goes_on_from_what_is_saved(ada):
    """I saved, went back to correct a word, and the page reported that another user had saved."""
    slug = ada.write("Saved and gone back to", "one")
    ada.goto(f"/documents/{slug}/edit/")
    ada.save("two")
    expect(ada.find("article")).to_contain_text("version 2")
    ada.page.go_back()
    ada.is_live()
    expect(text(ada)).to_have_value("two")
    ada.save("two, mended")
    expect(ada.find("article")).to_contain_text("version 3")


def test_a_save_that_changes_nothing_is_none(ada, bob):
    """I opened a document, pressed Save to leave, and all users were notified of a version without a change."""
    slug = ada.write("Saved as it is", "one")
    bob.goto("/notifications/")
    ada.goto(f"/documents/{slug}/edit/")
    press(ada, "Save")
    expect(ada.find("[role=status]").get_by_text("Nothing has changed, so nothing was saved.")).to_be_visible()
    expect(ada.find("article")).not_to_contain_text("version 2")
    ada.write("A document after it")
    expect(bob.find("[data-events] li").first).to_contain_text("A document after it")
    expect(bob.find("[data-events]").get_by_text(re.compile("updated Saved as it is"))).to_have_count(0)


def test_ones_own_second_tab_is_no_stranger(ada, stack):
    """The page reported a conflict between two people, and named only me."""
    slug = ada.write("Written in two tabs", "one")
    ada.goto(f"/documents/{slug}/edit/")
    other = ada.page.context.new_page()
    other.goto(f"{stack.url}/documents/{slug}/edit/")
    other.get_by_label("Text").fill("two, in the other tab")
    other.get_by_role("button", name="Save", exact=True).click()
    other.wait_for_url(f"**/documents/{slug}/")
    ada.save("two, in this tab")
    conflict = ada.find("[data-conflict]")
    expect(conflict.get_by_role("heading", level=1)).to_have_text("You saved another version")
    expect(conflict).not_to_contain_text("Two people")
    press(ada, "Save over version 2")
    expect(ada.find("article")).to_contain_text("two, in this tab")


@pytest.mark.parametrize(
    ("path", "button"), [("edit", "Save"), ("new", "Create document"), ("delete", "Delete for everybody")]
)
def test_a_form_from_before_a_login_is_sent_again_by_one_click(seat, stack, path, button):
    """I had logged in again in another tab. Save responded with 403 and "Go back, copy your text"."""
    ada = seat(stack, "ada")
    slug = ada.write(f"A form from before a login: {path}", "one")
    address = "/new/" if path == "new" else f"/documents/{slug}/{path}/"
    ada.goto(address)
    if path != "delete":
        ada.page.get_by_label("Title").fill(f"Sent again: {path}")
        text(ada).fill("text from\nbefore & <after>")
    ada.page.context.clear_cookies(name=SESSION_COOKIE)
    log_in_elsewhere(ada, stack)
    press(ada, button)
    expect(ada.page.get_by_role("heading", level=1)).to_have_text("Send it again?")
    expect(ada.find("main")).to_contain_text("You are logged in as ada now")
    press(ada, "Send it again")
    if path == "delete":
        expect(ada.find("[role=status]").get_by_text(re.compile("is deleted"))).to_be_visible()
    else:
        expect(ada.find("article")).to_contain_text(f"Sent again: {path}")
        expect(ada.find("article")).to_contain_text("before & <after>")


def test_login_twice_leads_on(seat, stack):
    """I double-clicked Log in and got 403. In another tab, where I was already logged in, I got it too."""
    ada = seat(stack, "ada")
    ada.page.context.clear_cookies(name=SESSION_COOKIE)
    ada.page.goto(f"{stack.url}/people/")
    log_in_elsewhere(ada, stack)
    ada.page.get_by_label("Username").fill("ada")
    ada.page.get_by_label("Password").fill("demo")
    double_click(ada, "Log in")
    ada.page.wait_for_url("**/people/")
    ada.is_live()


def log_in_elsewhere(person, stack):
    """Log in in another tab of the same browser, which invalidates the tokens of all open forms."""
    other = person.page.context.new_page()
    other.goto(f"{stack.url}/login/")
    other.get_by_label("Username").fill(person.name)
    other.get_by_label("Password").fill("demo")
    other.get_by_role("button", name="Log in").click()
    other.wait_for_url(f"{stack.url}/")
    other.close()


@pytest.fixture
def two_webs(stack_factory):
    """Two web processes with one PostgreSQL, in which transactions run concurrently."""
    if reason := why_not():
        pytest.skip(reason)
    with Postgres() as database:
        stack = stack_factory(web=2, TIDEWIRE_DATABASE_URL=database.url)
        stack.run("-m", "deploy.local.prepare", timeout_seconds=PREPARE_SECONDS)
        with stack:
            yield stack


def form_of(stack, path, cookie):
    """Return the hidden fields of a page's form, and the cookies to send with it."""
    page = fetch(f"{stack.url}{path}", headers={"Cookie": cookie})
    set_now = [value.partition(";")[0] for value in page.headers.get_all("Set-Cookie", [])]
    page_read = Page(path, page.text)
    names = ["csrfmiddlewaretoken", "submission", *(["version"] if path != "/new/" else [])]
    return {name: page_read.field(name) for name in names}, "; ".join((cookie, *set_now))


def test_copies_of_a_form_that_arrive_at_once_are_one(two_webs):
    """With two web processes, each copy of a form was processed, at the same moment."""
    cookie = two_webs.sessions("ada")["ada"]

    def send(path, text, attempt):
        fields, cookies = form_of(two_webs, path, cookie)
        body = {**fields, **text}
        urls = [f"{two_webs.web_urls[i % 2]}{path}" for i in range(COPIES)]
        headers = {"Cookie": cookies, "X-Forwarded-Proto": "http"}
        with ThreadPoolExecutor(COPIES) as pool:
            answers = list(pool.map(lambda url: fetch(url, fields=body, headers=headers), urls))
        assert {answer.status for answer in answers} == {302}, [answer.text[:500] for answer in answers]
        [location] = {answer.headers["Location"] for answer in answers}
        return location

    for attempt in range(3):
        responses = send("/new/", {"title": f"At once {attempt}", "body": "one"}, attempt)
        assert send(f"{responses}edit/", {"title": f"At once {attempt}", "body": "two"}, attempt) == responses
        page = fetch(f"{two_webs.url}{responses}", headers={"Cookie": cookie}).text
        assert 'data-version="2"' in page
    listed = fetch(f"{two_webs.url}/", headers={"Cookie": cookie}).text
    assert [listed.count(f">At once {attempt}</a>") for attempt in range(3)] == [1, 1, 1]
    happened = fetch(f"{two_webs.url}/notifications/", headers={"Cookie": cookie}).text
    assert happened.count("At once 0") == 2
