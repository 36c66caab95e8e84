"""The load test's file for Locust with shorter waits, for a stand-in that responds at once."""

from loadtest import course, shapes, team
from loadtest.locustfile import Course, Editor, FiveTabs, ListReader, Mobile, Watcher
from loadtest.users import mobile

__all__ = ["Course", "Editor", "FiveTabs", "ListReader", "Mobile", "Watcher"]

# Must be longer than a phone is offline, and than the interval between two states of a worker.
course.SETTLE_LEAST_SECONDS = 2.0
course.STEP_GRACE_SECONDS = 1.0
mobile.OFFLINE_SECONDS = (0.2, 1.0)
shapes.CUT_SECONDS = 2.0
# The duration of ten states of a worker.
team.SILENCE_SECONDS = 5.0
team.PAGE_SECONDS = 1.0
