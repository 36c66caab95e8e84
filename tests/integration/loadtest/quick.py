"""The load test's file for Locust with shorter waits, for a stand-in that responds at once."""

from loadtest.journeys import readers
from loadtest.locustfile import Editor, FiveTabs, ListReader, Mobile, Watcher
from loadtest.run import coordinator, run_controller, shapes

__all__ = ["Editor", "FiveTabs", "ListReader", "Mobile", "Watcher"]

# Must be longer than a phone is offline, and than the interval between two states of a worker.
run_controller.SETTLE_LEAST_SECONDS = 2.0
run_controller.STEP_GRACE_SECONDS = 1.0
readers.OFFLINE_SECONDS = (0.2, 1.0)
shapes.DISCONNECTED_SECONDS = 2.0
coordinator.INCREMENT_SECONDS = 1.0
