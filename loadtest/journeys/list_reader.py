"""Four tenths of the users: look at the list, open a document, read it and return to the list."""

from __future__ import annotations

from typing import Any

from locust import task

from loadtest.journeys.dashboard_user import DashboardUser
from loadtest.run import figures


class ListReader(DashboardUser):
    weight = 4

    def arrive(self) -> None:
        self.open_list()

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
