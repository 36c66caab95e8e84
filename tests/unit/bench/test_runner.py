"""Which attempt at a disturbed step counts."""

from bench.runner import TRIES, calmest


def trying(*tries):
    """Return a measure that returns these records one after another."""
    remaining = iter(tries)

    async def measure():
        return [next(remaining)]

    return measure, remaining


async def test_a_calm_step_is_measured_once():
    measure, remaining = trying({"disturbance": 0.01}, {"disturbance": 0.0})
    assert await calmest(measure) == [{"disturbance": 0.01, "tries": 1}]
    assert len(list(remaining)) == 1


async def test_a_disturbed_step_is_measured_until_it_is_calm():
    measure, _ = trying({"disturbance": 0.4}, {"disturbance": 0.02})
    assert await calmest(measure) == [{"disturbance": 0.02, "tries": 2}]


async def test_where_no_try_is_calm_the_calmest_counts():
    measure, remaining = trying({"disturbance": 0.4}, {"disturbance": 0.2}, {"disturbance": 0.3}, {"disturbance": 0.0})
    assert await calmest(measure) == [{"disturbance": 0.2, "tries": TRIES}]
    assert len(list(remaining)) == 1


async def test_what_was_lost_is_not_measured_away():
    """A disturbance of the machine must not hide a lost event."""
    measure, _ = trying({"disturbance": 0.4}, {"disturbance": 0.9, "lost": 1}, {"disturbance": 0.0})
    assert await calmest(measure) == [{"disturbance": 0.9, "lost": 1, "tries": 2}]


async def test_a_failure_is_not_measured_away():
    measure, _ = trying({"disturbance": 0.4, "error": "no start"}, {"disturbance": 0.0})
    assert await calmest(measure) == [{"disturbance": 0.4, "error": "no start", "tries": 1}]
