"""A tenth of the users: a phone on the list that loses its network and resumes from its position."""

from __future__ import annotations

import gevent
from locust import task

from loadtest.journeys.dashboard_user import DashboardUser

# Below and above the grace of three seconds: some phones return unnoticed, others count as having left.
OFFLINE_SECONDS = (1.0, 6.0)


class Mobile(DashboardUser):
    weight = 1

    def arrive(self) -> None:
        self.open("/")
        self.socket("/ws/documents/")

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
