"""Users of the dashboard that read: the list and its documents, idle tabs, five tabs, and a phone in a tunnel."""

from __future__ import annotations

from typing import Any

import gevent
from locust import tag, task

from loadtest.clients.live_socket import LiveSocket
from loadtest.journeys.dashboard_user import DashboardUser
from loadtest.run import figures

TABS = 5
PATHS = ("/", "/notifications/")
# Below and above the grace of three seconds: some phones return unnoticed, others count as having left.
OFFLINE_SECONDS = (1.0, 6.0)


class ListReader(DashboardUser):
    """Four tenths of the users: look at the list, open a document, read it and return to the list."""

    weight = 4

    def arrive(self) -> None:
        self.open_list()

    @tag("read")
    @task
    def read(self) -> None:
        self.rest_when_over()
        self.think(10, 25)
        self.rest_when_over()
        slug = self.random.choice(self.slugs)
        self.open(f"/documents/{slug}/", "/documents/[slug]/")
        self.socket(f"/ws/document/{slug}/read/", name="/ws/document/[slug]/read/")
        self.think(5, 15)
        self.rest_when_over()
        self.open_list()

    def open_list(self) -> None:
        self.slugs = self.open("/").slugs
        self.seen: dict[tuple[str, str], float] = {}
        self.list_socket = self.socket("/ws/documents/", on={"documents.status": self._badges})

    def _badges(self, event: dict[str, Any]) -> None:
        """Measure the time until the badge shows a user that began to edit after this list was opened."""
        run = self.run_state
        for slug, people in event["documents"].items():
            for editor in people["editors"]:
                since = run.editing.get((slug, editor), 0.0)
                if since > self.list_socket.started + 1.0 and self.seen.get((slug, editor)) != since:
                    self.seen[slug, editor] = since
                    run.measured("EVENT", figures.DOCUMENTS, run.clock() - since)


class Watcher(DashboardUser):
    """Three tenths of the users: a mostly idle tab with the notifications, which are marked as read now and then."""

    weight = 3

    def arrive(self) -> None:
        self.page = self.open("/notifications/")

    @tag("read")
    @task
    def watch(self) -> None:
        self.rest_when_over()
        self.think(20, 40)
        self.rest_when_over()
        fields = {
            "csrfmiddlewaretoken": self.page.field("csrfmiddlewaretoken"),
            "up_to": self.page.newest_notification,
        }
        self.page = self.browser.post("/notifications/read/", fields)
        self.show(self.page)


class FiveTabs(DashboardUser):
    """A tenth of the users: five tabs at once, each with its own sockets and due events. The user counts once."""

    weight = 1

    def arrive(self) -> None:
        self.leave()
        self.tabs = [self.open_tab() for _ in range(TABS)]

    @tag("read", "tabs")
    @task
    def switch(self) -> None:
        self.rest_when_over()
        self.think(10, 20)
        self.rest_when_over()
        place = self.random.randrange(TABS)
        self.close_tab(self.tabs[place])
        self.tabs[place] = self.open_tab()

    def open_tab(self) -> list[LiveSocket]:
        path = self.random.choice(PATHS)
        page, before = self.browser.get(path), len(self.sockets)
        self.add(page)
        if path == "/":
            self.socket("/ws/documents/")
        return self.sockets[before:]

    def close_tab(self, tab: list[LiveSocket]) -> None:
        for each in tab:
            each.close()
            self.sockets.remove(each)


class Mobile(DashboardUser):
    """A tenth of the users: a phone on the list that loses its network and resumes from its position."""

    weight = 1

    def arrive(self) -> None:
        self.open("/")
        self.socket("/ws/documents/")

    @tag("network")
    @task
    def ride(self) -> None:
        self.rest_when_over()
        self.think(8, 16)
        self.rest_when_over()
        for each in self.sockets:
            each.lose_network()
        self.run_state.online.discard(self.name)
        gevent.sleep(self.random.uniform(*OFFLINE_SECONDS))
        if self.run_state.network:
            for each in self.sockets:
                each.find_network()
