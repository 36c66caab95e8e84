"""The content security policy: no page asks for what it forbids, and it forbids a script that got into a page."""

import pytest

from tests.browser.test_access import DOCUMENT, PAGES

# The admin too: it is Django's own, and the policy is not loosened for it.
ADMIN = ["/admin/", "/admin/dashboard/document/", "/admin/dashboard/document/add/", "/admin/auth/user/1/change/"]
# Kept in the document, so that a test can ask for them after everything was loaded.
WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
});
"""
PLANT = """
const script = document.createElement("script");
script.textContent = "window.planted = true";
document.body.append(script);
"""


@pytest.fixture
def visitor(seat, stack):
    person = seat(stack, "admin")
    person.page.add_init_script(WATCH)
    return person


def visit(person, path: str) -> list[str]:
    person.page.goto(f"{person.url}{path}", wait_until="networkidle")
    return person.page.evaluate("window.violations")


@pytest.mark.parametrize("path", [*PAGES, *ADMIN, "/nothing/here/"])
def test_no_page_meets_the_policy(visitor, path):
    assert visit(visitor, path) == []


def test_the_pages_of_strangers_do_not_either(visitor):
    visitor.page.context.clear_cookies()
    assert visit(visitor, "/login/") == []


def test_a_script_that_got_into_a_page_does_not_run(visitor):
    """The policy is there, and a violation of it is seen by these tests."""
    assert visit(visitor, DOCUMENT) == []
    visitor.page.evaluate(PLANT)
    visitor.page.wait_for_function("window.violations.length > 0")
    assert visitor.page.evaluate("window.planted") is None
    assert visitor.page.evaluate("window.violations")[0].startswith("script-src")
    # What the console says of it is the point here.
    visitor.complaints.clear()
