"""A load generator that was the bottleneck is detected; one with CPU time left is not."""

import itertools

import pytest

from loadtest.run import generator_health
from loadtest.run.generator_health import Pulse, Sample, judge
from loadtest.run.objectives import SETTINGS, Objectives, ObjectivesError, check, passed


def samples(count=60, *, cpu=0.3, lag_ms=5.0):
    return [Sample(float(n), cpu, lag_ms) for n in range(count)]


def starved(measured):
    return judge(measured, cpu_share=0.85, lag_ms=150).starved


def test_generator_with_time_is_healthy():
    health = judge(samples(), cpu_share=0.85, lag_ms=150)
    assert health.starved == ()
    assert (health.cpu_mean, health.lag_p95_ms) == (pytest.approx(0.3), 5.0)


def test_busy_core_is_named():
    [reason] = starved(samples(cpu=0.97))
    assert reason == "the generator used 97% of its core on average, 85% at most"


def test_late_loop_is_named():
    [reason] = starved([*samples(50), *samples(10, lag_ms=400.0)])
    assert reason == "the generator's loop woke up to 400 ms late (p95 of seconds), 150 ms at most"


def test_single_stall_in_a_minute_is_no_bottleneck():
    assert not starved([*samples(59), Sample(59.0, 0.3, 400.0)])


def test_unmeasured_generator_is_no_healthy_one():
    assert starved([]) == ("the generator was not measured",)


def test_pulse_sees_a_loop_that_sleeps_too_long(monkeypatch):
    """By the test's clock, each sleep takes 300 ms longer than requested."""
    now = [0.0]
    cpu = itertools.count(step=0.5)
    monkeypatch.setattr(generator_health.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(generator_health, "_cpu_seconds", lambda: next(cpu))
    lags = []

    class Done(Exception):
        pass

    def sleep(seconds):
        now[0] += seconds + 0.3

    def take(sample):
        lags.append(sample)
        raise Done

    with pytest.raises(Done):
        Pulse(sleep, take).run()
    assert lags[0].lag_ms == pytest.approx(300.0)
    assert lags[0].cpu == pytest.approx(0.5 / 1.28)


def test_objectives_of_the_file_are_all_checked():
    objectives = Objectives.read()
    names = {each.name for each in check(objectives, {}, {})}
    assert names | set(SETTINGS) == set(objectives.__dataclass_fields__)


def test_one_fault_fails_and_a_missing_figure_does_not():
    objectives = Objectives.read()
    assert passed(check(objectives, {"delivery_p95_ms": 100.0}, {}))
    assert not passed(check(objectives, {"delivery_p95_ms": 251.0}, {}))
    assert not passed(check(objectives, {}, {"lost": 1}))


def test_unknown_objective_is_named(tmp_path):
    path = tmp_path / "objectives.toml"
    path.write_text("lsot = 0\n")
    with pytest.raises(ObjectivesError, match="lsot"):
        Objectives.read(path)
