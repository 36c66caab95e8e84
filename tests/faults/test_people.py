"""Faults caused by people: a user logs out on one of many pages; a web process ends during saves."""

import threading
import time
import urllib.error

from tests.faults.client import Page
from tests.faults.event_source import committed
from tests.faults.scene import PATHS, people
from tests.http_client import fetch, submit
from tidewire.close_codes import CloseCode

LOGOUT_SECONDS = 1.0
SAVERS = 4


def test_logout(start_stack, scene, size):
    """A logout closes that session's sockets on every node within a second. All other sockets stay."""
    stack = start_stack(ws=3)
    leavers = [name for name in stack.users if name != "ada"]
    cookies = stack.sessions(*leavers, tickets=True)
    theirs = [Page(name, cookies[name], path) for name in leavers for path in PATHS * 4]
    pages = people(stack, size(200, 20)) + theirs
    with scene(stack, "Logout", pages=pages, per_second=20, order=90) as run:
        run.begin(f"{len(leavers)} people log out")
        logged_out_at = {name: (submit_logout(stack, cookies[name]), time.time())[1] for name in leavers}
        run.until(LOGOUT_SECONDS + 4.0)
        run.catch_up()
        closed = [(each.user, at, code) for each in run.diaries for at, code in each.closes if at >= run.began]
        slowest = max((at - logged_out_at[user] for user, at, _ in closed if user in logged_out_at), default=0.0)
        ended = [each for each in run.diaries if each.user in leavers and each.ended]
        others = [user for user, _, _ in closed if user not in leavers]
        run.target(
            f"its sockets closed within {LOGOUT_SECONDS:.0f} s, on every node",
            len(ended) == len(theirs) and slowest <= LOGOUT_SECONDS,
            f"{len(ended)} of {len(theirs)} on 3 nodes, {slowest:.2f} s after the answer at most",
        )
        run.target(
            "with a final code",
            {code for user, _, code in closed if user in leavers} == {int(CloseCode.REVOKED)},
            run.row.codes,
        )
        run.target("no other user's socket closed", not others, len(others))
        run.nothing_lost()
        run.presence(leave=leavers)
        run.verdict()


def submit_logout(stack, cookie):
    """Submit the form of the page's button, which is on every page."""
    before = fetch(f"{stack.url}/people/", headers={"Cookie": cookie})
    token = before.text.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
    set_now = [value.partition(";")[0] for value in before.headers.get_all("Set-Cookie", [])]
    answer = fetch(
        f"{stack.url}/logout/",
        fields={"csrfmiddlewaretoken": token},
        headers={"Cookie": "; ".join((cookie, *set_now))},
    )
    assert answer.status == 302, answer.status


class Saver(threading.Thread):
    """Creates documents through the page, one after another, and records each response."""

    def __init__(self, stack, cookie, number):
        super().__init__(daemon=True)
        self._stack, self._cookie, self._number = stack, cookie, number
        self.answers = {}
        self.end = threading.Event()

    def run(self):
        document = 0
        while not self.end.is_set():
            title = f"Saver {self._number} document {document}"
            try:
                answer = submit(f"{self._stack.url}/new/", self._cookie, {"title": title, "body": "text"})
            except (OSError, urllib.error.URLError) as error:
                self.answers[title] = type(error).__name__
            else:
                self.answers[title] = answer.status
            document += 1


def test_web_graceful_stop(start_stack, scene, size):
    """Each web process is restarted during saves: no acknowledged write may be lost, and none refused."""
    stack = start_stack(ws=2, web=2)
    cookies = stack.sessions(*(f"saver-{i}" for i in range(SAVERS)), tickets=True)
    pages = people(stack, size(100, 20))
    with scene(stack, "Gunicorn's graceful stop under saves through pages", pages=pages, per_second=0, order=95) as run:
        savers = [Saver(stack, cookie, i) for i, cookie in enumerate(cookies.values())]
        for saver in savers:
            saver.start()
        run.calm()
        run.begin("web-0 and web-1 are restarted, one after another, again and again")
        codes = []
        for name in ("web-0", "web-1") * size(5, 1):
            codes.append(stack.stop(name))
            stack.start(name)
            run.calm(2.0)
        for saver in savers:
            saver.end.set()
        for saver in savers:
            saver.join(30.0)
        run.catch_up()
        answers = {title: status for saver in savers for title, status in saver.answers.items()}
        saved = [title for title, status in answers.items() if status == 302]
        failed = {title: status for title, status in answers.items() if status != 302}
        rows = len(committed(stack, run.after))
        run.target("every write that was answered is there", rows >= len(saved) > 0, f"{rows} of {len(saved)}")
        refused = sorted(set(map(str, failed.values())))
        run.target("no write was refused", not failed, f"{len(failed)} of {len(answers)}: {refused}")
        run.target("exit 0 of each", set(codes) == {0}, codes)
        run.nothing_lost()
        run.presence()
        run.verdict()
