"""States without a way out: the page must explain them and recover from them."""

import re

import pytest
from playwright.sync_api import expect

from tests.browsers import Person
from tests.stack import ONE_WORKER
from tidewire.close_codes import CloseCode

BACK_MS = 40_000
ROLE = """
import django
django.setup()
from django.contrib.auth.models import User
User.objects.filter(username={name!r}).update(is_staff={before})
user = User.objects.get(username={name!r})
user.is_staff = {after}
user.save()
"""


def button(person):
    return person.find("[data-live-state]")


def notice(person):
    return person.find("[data-live-notice]")


@pytest.fixture
def login(chromium, seat):
    """`login(stack, "eve")` logs a person in through the page, so that a logout ends only this session."""

    def log_in(stack, name) -> Person:
        person = seat(stack, name)
        person.page.context.clear_cookies()
        log_in_again(person.page, stack, name)
        return person

    return log_in


def log_in_again(page, stack, name):
    page.goto(f"{stack.url}/login/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(stack.users[name])
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{stack.url}/")


def log_out(page):
    page.locator("[data-menu] summary").click()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login/")


def close_once(person, code, *, path="/ws/"):
    """Close a person's sockets of that path with a code until `closing["now"]` is true; later ones stay open."""
    sockets = []
    closing = {"now": False}

    def route(socket):
        if closing["now"]:
            sockets.append(socket.connect_to_server())
        else:
            sockets.append(socket)
            socket.close(code=code)

    person.page.route_web_socket(re.compile(path), route)
    return closing


@pytest.fixture(scope="module")
def own_stack(stack_factory):
    with stack_factory(ws=1, **ONE_WORKER) as stack:
        yield stack


def test_a_user_who_becomes_staff_stays_live(own_stack, seat):
    """An administrator made me staff, and my page showed that I am signed out, although I am not."""
    bob = seat(own_stack, "bob")
    bob.goto("/new/")
    bob.page.get_by_label("Text").fill("typed")
    for before, after in ((False, True), (True, False)):
        own_stack.run("-c", ROLE.format(name="bob", before=before, after=after))
        states = re.compile("live reconnecting.* live" if after else "(live reconnecting.* ){2}live")
        expect(bob.find("html")).to_have_attribute("data-states", states, timeout=BACK_MS)
        bob.is_live()
        expect(bob.find("[data-signed-out]")).to_be_hidden()
        expect(notice(bob)).to_be_hidden()
    expect(bob.page.get_by_label("Text")).to_have_value("typed")


def test_a_login_in_another_tab_brings_the_page_back_with_its_text(stack, login):
    """I was signed out in another tab. "Log in again" left the page, and the text that I had typed was lost."""
    eve = login(stack, "eve")
    slug = eve.write("A text that survives", "one")
    eve.goto(f"/documents/{slug}/edit/")
    eve.page.get_by_label("Text").fill("one, and what must not be lost")
    other = eve.page.context.new_page()
    other.goto(f"{stack.url}/people/")
    log_out(other)

    expect(eve.find("[data-signed-out]")).to_be_visible()
    expect(button(eve)).to_have_text("Offline")
    expect(button(eve)).to_be_enabled()
    expect(eve.find("[data-signed-out] a")).to_have_attribute("target", "_blank")
    # The button asks the server again and must not make the state worse.
    button(eve).click()
    expect(eve.find("[data-signed-out]")).to_be_visible()

    log_in_again(other, stack, "eve")
    eve.is_live()
    expect(eve.find("[data-signed-out]")).to_be_hidden()
    expect(eve.page.get_by_label("Text")).to_have_value("one, and what must not be lost")
    # A login rotates the CSRF token. A form from before the login must still be accepted.
    eve.page.get_by_role("button", name="Save", exact=True).click()
    expect(eve.find("article")).to_contain_text("one, and what must not be lost")


def test_a_login_as_another_user_is_named(stack, login):
    """My colleague logged in on this computer, and my page asked me to log in, although I was logged in."""
    eve = login(stack, "eve")
    eve.goto("/new/")
    eve.page.get_by_label("Text").fill("by eve")
    other = eve.page.context.new_page()
    other.goto(f"{stack.url}/people/")
    log_out(other)
    log_in_again(other, stack, "ada")
    expect(notice(eve)).to_contain_text("This browser is now signed in as \u2068ada\u2069")
    expect(eve.find("[data-signed-out]")).to_be_hidden()
    expect(button(eve)).not_to_have_attribute("data-live-state", "live")
    log_out(other)
    expect(eve.page.get_by_label("Text")).to_have_value("by eve")
    log_in_again(other, stack, "eve")
    eve.is_live()
    expect(notice(eve)).to_be_hidden()


@pytest.mark.parametrize("code", [CloseCode.UNAUTHENTICATED, CloseCode.REVOKED])
def test_signed_out_is_said_only_where_it_is_true(bob, code):
    """The page showed that I was signed out, and every link on it worked."""
    closing = close_once(bob, code)
    bob.page.route("**/session/", lambda route: (closing.update(now=True), route.continue_()))
    bob.page.goto(f"{bob.url}/people/")
    bob.is_live()
    expect(bob.find("[data-signed-out]")).to_be_hidden()


def test_a_server_that_does_not_answer_is_no_logout(bob):
    """The server was down for a minute, and my page showed that I was signed out."""
    closing = close_once(bob, CloseCode.REVOKED)
    bob.page.route("**/session/", lambda route: route.fulfill(status=503))
    bob.page.goto(f"{bob.url}/people/")
    expect(notice(bob)).to_contain_text("the server does not answer")
    expect(bob.find("[data-signed-out]")).to_be_hidden()
    bob.page.unroute("**/session/")
    closing["now"] = True
    bob.page.get_by_role("button", name="Try again now").click()
    bob.is_live()
    expect(notice(bob)).to_be_hidden()


@pytest.mark.parametrize(
    "code", [CloseCode.FORBIDDEN, CloseCode.UNKNOWN, CloseCode.MALFORMED, CloseCode.TOO_LARGE, 3500, 4999]
)
def test_every_final_code_says_why_and_can_be_tried_again(bob, code):
    """The page shows Offline, the button does nothing, and only a reload helps, which loses my text."""
    closing = close_once(bob, code, path="/ws/users/")
    bob.page.goto(f"{bob.url}/people/")
    expect(notice(bob)).to_be_visible()
    expect(notice(bob)).to_contain_text(re.compile("asks again|may no longer see"))
    expect(bob.find("[data-signed-out]")).to_be_hidden()
    expect(button(bob)).to_be_enabled()
    closing["now"] = True
    button(bob).click()
    bob.is_live()
    expect(notice(bob)).to_be_hidden()


def test_too_many_tabs_are_explained_and_come_back(own_stack, seat, crowd):
    """My 34th tab showed Offline, even after I had closed the others."""
    bob = seat(own_stack, "bob")
    bob.page.clock.install()
    crowd(own_stack, "ws-0", 50)
    bob.page.goto(f"{own_stack.url}/people/")
    expect(notice(bob)).to_contain_text("Too many tabs of yours are open")
    expect(button(bob)).to_have_attribute("data-live-state", "reconnecting")
    expect(button(bob)).to_be_enabled()
    assert " live" not in bob.find("html").get_attribute("data-states")
    crowd.close()
    # The page must reconnect within 20 s without a click.
    bob.page.clock.fast_forward(20_000)
    expect(button(bob)).to_have_attribute("data-live-state", "live")
    expect(notice(bob)).to_be_hidden()
