"""Delays after failures: they grow up to a limit, and are random."""

from tidewire.redis.backoff import Backoff


def test_waits_double_up_to_a_bound():
    """Each delay is between half of its step and the whole step."""
    backoff = Backoff(0.5, 3.0)
    for step in (0.5, 1.0, 2.0, 3.0, 3.0, 3.0):
        assert step / 2 <= backoff.next_delay() <= step


def test_it_begins_anew_after_a_success():
    """A success resets the delay."""
    backoff = Backoff(1.0, 60.0)
    for _ in range(5):
        backoff.next_delay()
    backoff.reset()
    assert backoff.next_delay() <= 1.0


def test_a_hundred_nodes_come_back_at_a_hundred_times():
    """All nodes may lose Redis at the same moment."""
    waits = sorted(Backoff(1.0, 1.0).next_delay() for _ in range(100))
    assert len(set(waits)) == 100
    assert waits[-1] - waits[0] > 0.3
