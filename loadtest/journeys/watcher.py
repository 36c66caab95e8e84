"""Three tenths of the users: a mostly idle tab with the notifications, which are marked as read now and then."""

from __future__ import annotations

from locust import task

from loadtest.journeys.dashboard_user import DashboardUser


class Watcher(DashboardUser):
    weight = 3

    def arrive(self) -> None:
        self.page = self.open("/notifications/")

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
