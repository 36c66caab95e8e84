"""Polls presence in Redis and records each join, leave and return.

A member's score is the time of the join, so that a leave and a return between two polls are also detected.
"""

import threading
import time
from dataclasses import dataclass, field
from typing import Self

import redis

from tests.stack import Stack
from tidewire.redis.keys import Keys

POLL_SECONDS = 0.1
USERS = ("users", "online")


@dataclass
class Moves:
    """Joins and leaves as (time, member), in order."""

    joined: list[tuple[float, str]] = field(default_factory=list)
    left: list[tuple[float, str]] = field(default_factory=list)


class Watcher(threading.Thread):
    """`with Watcher(stack) as watcher`; `moves` and `members` are by (topic, phase)."""

    def __init__(self, stack: Stack, *topic_phases: tuple[str, str]) -> None:
        super().__init__(daemon=True, name="presence")
        self._redis = redis.Redis.from_url(stack.redis_url, decode_responses=True, socket_timeout=2)
        self._keys = Keys("tidewire")
        self._end = threading.Event()
        self.members: dict[tuple[str, str], dict[str, float]] = {
            topic_phase: {} for topic_phase in (USERS, *topic_phases)
        }
        self.moves: dict[tuple[str, str], Moves] = {topic_phase: Moves() for topic_phase in self.members}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._end.set()
        self.join()
        self._redis.close()

    def run(self) -> None:
        while not self._end.wait(POLL_SECONDS):
            for topic_phase in self.members:
                try:
                    members = self._redis.zrange(self._keys.members(*topic_phase), 0, -1, withscores=True)
                except (redis.RedisError, OSError):
                    # Redis is unavailable. The next poll finds the changes of the meantime.
                    continue
                self._compare(topic_phase, dict(members))

    def _compare(self, topic_phase: tuple[str, str], now: dict[str, float]) -> None:
        at, before, moves = time.time(), self.members[topic_phase], self.moves[topic_phase]
        moves.left += [(at, member) for member, since in before.items() if now.get(member) != since]
        moves.joined += [(at, member) for member, since in now.items() if before.get(member) != since]
        self.members[topic_phase] = now

    def left(self, since: float, topic_phase: tuple[str, str] = USERS) -> list[tuple[float, str]]:
        """Return the leaves after a time; a member that left twice is listed twice."""
        return [(at, member) for at, member in self.moves[topic_phase].left if at >= since]

    def joined(self, since: float, topic_phase: tuple[str, str] = USERS) -> list[tuple[float, str]]:
        return [(at, member) for at, member in self.moves[topic_phase].joined if at >= since]
