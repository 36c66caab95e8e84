"""One user in ten: a phone on the list that loses its network and resumes from where it was."""

from __future__ import annotations

import gevent
from locust import task

from loadtest.users.dashboard import DashboardUser


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
        # Below and above the grace of three seconds: some come back unnoticed, some were gone.
        self.run_state.online.discard(self.name)
        gevent.sleep(self.random.uniform(1.0, 6.0))
        if self.run_state.network:
            for each in self.sockets:
                each.find_network()
