"""A user edits a document in a hidden tab, while another user watches presence on a visible page."""

import itertools
from dataclasses import dataclass
from typing import Any, Self

from tests.stack import Stack
from tests.tabs import Chromium

# Runs before the page's scripts: counts sockets and their closes, and records every state that the page shows.
WATCH = """
window.watched = { opened: 0, closes: 0, states: [], leases: [], runs: [], seen: [] };
window.WebSocket = class extends WebSocket {
  constructor(...call) {
    super(...call);
    watched.opened += 1;
    this.addEventListener("close", () => (watched.closes += 1));
  }
};
setInterval(() => watched.runs.push(performance.now()), 1000);
document.addEventListener("DOMContentLoaded", () => {
  const follow = (selector, list, read) => {
    const element = document.querySelector(selector);
    if (!element) return;
    const note = () => { if (list.at(-1) !== read(element)) list.push(read(element)); };
    const all = { attributes: true, childList: true, subtree: true, characterData: true };
    new MutationObserver(note).observe(element, all);
  };
  follow("[data-live-state]", watched.states, (element) => element.dataset.liveState);
  follow("[data-editor]", watched.leases, (element) => element.dataset.lease);
  const text = (selector) => document.querySelector(selector)?.textContent.replace(/\\s+/g, " ").trim();
  window.people = () => `${text("[data-users-count]")} online, ${text("[data-badge]")}`;
  follow("[data-users-count]", watched.seen, people);
  follow("[data-badge]", watched.seen, people);
});
"""
# A throttled timer runs once a minute instead of once a second, so its intervals are longer than this.
THROTTLED_MS = 50_000


@dataclass
class Observation:
    """Observations since the tab was hidden. A list has a value each time it changes."""

    closes: int
    states: list[str]
    leases: list[str]
    seen_by_others: list[str]


class Hidden:
    """`with Hidden(stack, chromium, cookies) as hidden` opens two live pages; `hidden.hide()` hides ada's tab.

    `others` must be the number of other users online, so that only a fault can change the count that the pages show.
    """

    def __init__(self, stack: Stack, chromium: Chromium, cookies: dict[str, str], *, others: int = 0) -> None:
        self._users = others + 2
        self._stack = stack
        self._chromium = chromium
        self.ada, self.bob = chromium.tab(), chromium.tab()
        for tab, name in ((self.ada, "ada"), (self.bob, "bob")):
            tab.cookie(stack.url, cookies[name])
            tab.before_load(WATCH)
        self._front = chromium.tab(beside=self.ada)

    def __enter__(self) -> Self:
        url = self._stack.url
        self.ada.goto(f"{url}/new/")
        self.ada.wait("document.querySelector('[data-live-state]').dataset.liveState === 'live'")
        self.ada.evaluate(
            "(() => { const { elements } = document.querySelector('[data-editor]');"
            "elements.title.value = 'Edited in a hidden tab'; elements.body.value = 'one';"
            "document.querySelector('[data-editor] [type=submit]').click(); })()"
        )
        self.ada.wait("location.pathname.startsWith('/documents/')")
        document = self.ada.evaluate("location.href")
        self.ada.goto(f"{document}edit/")
        self.ada.wait("document.querySelector('[data-editor]')?.dataset.lease === 'mine'")
        self.bob.goto(document)
        self.bob.wait(f"/^{self._users} online.*ada.*bob/.test(people())")
        return self

    def __exit__(self, *_exception: object) -> None:
        for tab in (self._front, self.ada, self.bob):
            tab.close()

    def hide(self) -> None:
        """Hide ada's tab, and discard all earlier observations."""
        self._front.front()
        self.ada.wait("document.visibilityState === 'hidden'")
        for tab in (self.ada, self.bob):
            tab.evaluate(
                "(() => { const { states, leases, runs, seen } = watched;"
                "watched.closes = runs.length = 0;"
                "for (const list of [states, leases, seen]) list.splice(0, list.length - 1); })()"
            )

    def show(self) -> None:
        """Show ada's tab again."""
        self.ada.front()
        self.ada.wait("document.visibilityState === 'visible'")

    @property
    def throttled_runs(self) -> int:
        """Return how many intervals of a one-second timer Chromium extended to a minute."""
        runs: list[float] = self.ada.evaluate("watched.runs")
        return sum(after - before > THROTTLED_MS for before, after in itertools.pairwise(runs))

    def observe(self) -> Observation:
        """Return the observations of both pages."""
        ada: dict[str, Any] = self.ada.evaluate("watched")
        bob: dict[str, Any] = self.bob.evaluate("watched")
        return Observation(ada["closes"] + bob["closes"], ada["states"], ada["leases"], bob["seen"])
