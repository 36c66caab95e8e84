"""A tenth of the users: five tabs at once. Each tab has its own sockets and due events, but the user counts once."""

from __future__ import annotations

from locust import task

from loadtest.clients.live_socket import LiveSocket
from loadtest.journeys.dashboard_user import DashboardUser

TABS = 5
PATHS = ("/", "/notifications/")


class FiveTabs(DashboardUser):
    weight = 1

    def arrive(self) -> None:
        self.leave()
        self.tabs = [self.open_tab() for _ in range(TABS)]

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
