"""Which attempt at a disturbed step counts."""

from bench.runner import calmest, describe


def trying(*tries):
    """Return a measure that returns these records one after another."""
    made = iter(tries)

    async def measure():
        return [next(made)]

    return measure, made


async def test_a_calm_step_is_measured_once():
    measure, left = trying({"disturbance": 0.01}, {"disturbance": 0.0})
    assert await calmest(measure) == [{"disturbance": 0.01, "tries": 1}]
    assert len(list(left)) == 1


async def test_a_disturbed_step_is_measured_until_it_is_calm():
    measure, _ = trying({"disturbance": 0.4}, {"disturbance": 0.02})
    assert await calmest(measure) == [{"disturbance": 0.02, "tries": 2}]


async def test_where_no_try_is_calm_the_calmest_counts():
    measure, left = trying({"disturbance": 0.4}, {"disturbance": 0.2}, {"disturbance": 0.3}, {"disturbance": 0.0})
    assert await calmest(measure) == [{"disturbance": 0.2, "tries": 3}]
    assert len(list(left)) == 1


async def test_what_was_lost_is_not_measured_away():
    """A disturbance of the machine must not hide a lost event."""
    measure, _ = trying({"disturbance": 0.4}, {"disturbance": 0.9, "lost": 1}, {"disturbance": 0.0})
    assert await calmest(measure) == [{"disturbance": 0.9, "lost": 1, "tries": 2}]


async def test_a_failure_is_not_measured_away():
    measure, _ = trying({"disturbance": 0.4, "error": "no start"}, {"disturbance": 0.0})
    assert await calmest(measure) == [{"disturbance": 0.4, "error": "no start", "tries": 1}]


async def test_each_repetition_is_announced_when_it_begins(capsys):
    measure, _ = trying({"disturbance": 0.4}, {"disturbance": 0.2}, {"disturbance": 0.3})
    await calmest(measure)
    assert capsys.readouterr().out.splitlines() == [
        "    other processes took 40% of the machine, 5% at most: measured again (2 of 3)",
        "    other processes took 20% of the machine, 5% at most: measured again (3 of 3)",
    ]


async def test_quick_run_repeats_nothing_and_names_the_disturbance(capsys):
    measure, left = trying({"disturbance": 0.4}, {"disturbance": 0.0})
    [record] = await calmest(measure, 1)
    assert (record["tries"], len(list(left)), capsys.readouterr().out) == (1, 1, "")
    record |= {"measure": "idle", "rss_bytes": 1024, "connect_cpu_ms": 1.0, "idle_us_per_second": 2.0}
    assert describe(record).endswith("(disturbed: other processes took 40% of the machine)")
    assert "disturbed" not in describe(record | {"disturbance": 0.01})
