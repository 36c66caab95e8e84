"""A page has the positions of its sockets and the values of its form."""

import pytest

from loadtest.clients.browser import Page, PageError

EDIT_PAGE = """<body data-user="ada" data-position="5f:12" data-newest-notification="57">
<input type="hidden" name="csrfmiddlewaretoken" value="a&amp;b"><input name="version" type="hidden" value="3">
<textarea name="body" rows="18">
first
&lt;second&gt;</textarea>"""


def test_page_says_where_its_sockets_start_and_what_its_form_holds():
    page = Page("/documents/plan/edit/", EDIT_PAGE)
    assert (page.position, page.newest_notification) == ("5f:12", "57")
    assert [page.field(name) for name in ("csrfmiddlewaretoken", "version", "body")] == ["a&b", "3", "first\n<second>"]
    with pytest.raises(PageError, match="/documents/plan/edit/ has no field colour"):
        page.field("colour")
