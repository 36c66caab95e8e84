"""Whether a series of measurements is flat or a leak."""

import random

import pytest

from tests.soak.flat import Bound, judge, slope

BOUND = Bound(0.02, 2.0)


def series(value_at, *, seconds=840, step=5):
    return [(at, value_at(at)) for at in range(360, 360 + seconds + 1, step)]


def test_the_slope_is_that_of_the_line():
    """The interval of the samples does not matter."""
    assert slope([(0, 1.0), (10, 2.0), (40, 5.0)]) == pytest.approx(0.1)


def test_noise_about_a_level_is_flat():
    """The memory of a process varies even without a leak."""
    noise = random.Random(1)
    assert judge("RSS", series(lambda _: 100 + noise.uniform(-3, 3)), BOUND).flat


def test_a_step_before_the_warm_up_s_end_is_no_leak():
    """Samples from the warm-up are ignored."""
    assert judge("RSS", series(lambda _: 140.0), BOUND).flat


@pytest.mark.parametrize("leaked_bytes", [1000, 10_000])
def test_a_leak_of_every_connection_grows(leaked_bytes):
    """At ten connects a second for fourteen minutes, one kilobyte of each adds up to 8 MiB, which exceeds the noise."""
    noise = random.Random(2)
    leak = lambda at: 100 + noise.uniform(-1, 1) + (at - 360) * 10 * leaked_bytes / 2**20  # noqa: E731
    verdict = judge("RSS", series(leak), BOUND)
    assert not verdict.flat
    assert verdict.rise == pytest.approx(8400 * leaked_bytes / 2**20, rel=0.1)


def test_a_descriptor_a_minute_grows():
    """Fourteen descriptors in the measured time."""
    assert not judge("fd", series(lambda at: 60 + at // 60), Bound(0.05, 3.0)).flat


def test_a_fall_is_flat():
    """A series that shrinks cannot be a leak."""
    assert judge("RSS", series(lambda at: 200 - at / 20), BOUND).flat


def test_one_moment_has_no_slope():
    """The error must be clear, instead of a division by zero."""
    with pytest.raises(ValueError, match="2 samples of one moment"):
        slope([(1.0, 2.0), (1.0, 3.0)])
