"""The chat's journey: talk in a room, and go out and in."""

from locust import tag, task

from loadtest.product import JsonNumber, LiveUser

ROOMS = 3


class Chatter(LiveUser):
    def arrive(self) -> None:
        room = f"room-{self.number % ROOMS}"
        self.chat = self.open_socket(f"/ws/chat/{room}/", JsonNumber(room), name="/ws/chat/[room]/")

    @tag("talk")
    @task(3)
    def talk(self) -> None:
        self.rest_when_over()
        self.think(1, 3)
        self.rest_when_over()
        self.chat.publish(text=f"Hello from {self.name}")

    @tag("move")
    @task(1)
    def go_out_and_in(self) -> None:
        self.rest_when_over()
        self.think(5, 10)
        self.rest_when_over()
        self.leave()
        self.arrive()
