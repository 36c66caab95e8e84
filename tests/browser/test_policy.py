"""The content security policy: no page violates it, and it blocks a script that was injected into a page."""

import pytest

from tests.browser.test_access import DOCUMENT, PAGES

# Also the admin, which is Django's own: the policy must not be relaxed for it.
ADMIN = ["/admin/", "/admin/dashboard/document/", "/admin/dashboard/document/add/", "/admin/auth/user/1/change/"]
# Stored in the document, so that a test can read the violations after everything was loaded.
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
    """The policy is active, and these tests detect a violation of it."""
    assert visit(visitor, DOCUMENT) == []
    visitor.page.evaluate(PLANT)
    visitor.page.wait_for_function("window.violations.length > 0")
    assert visitor.page.evaluate("window.planted") is None
    assert visitor.page.evaluate("window.violations")[0].startswith("script-src")
    # The console reports the violation, which this test expects.
    visitor.complaints.clear()
