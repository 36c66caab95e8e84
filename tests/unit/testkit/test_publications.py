"""The end of a stream at a time, from events that become known in any order."""

import itertools

import pytest

from testkit.publications import Publications


def known(*events):
    made = Publications()
    for epoch, offset, at in events:
        made.add(epoch, offset, at)
    return made


@pytest.mark.parametrize("order", list(itertools.permutations([("e", 1, 1.0), ("e", 2, 2.0), ("e", 4, 4.0)])))
def test_end_is_the_greatest_offset_that_was_published_by_then(order):
    made = known(*order)
    assert [made.end_at("e", until) for until in (0.5, 1.0, 3.0, 9.0)] == [0, 1, 2, 4]


def test_earliest_time_of_an_event_counts():
    made = known(("e", 5, 9.0))
    assert made.end_at("e", 8.0) == 0
    made.add("e", 5, 7.0)
    made.add("e", 5, 8.0)
    assert made.time_of("e", 5) == 7.0
    assert made.end_at("e", 7.5) == 5


def test_page_is_offered_what_follows_its_position_in_its_epoch_and_all_later_ones():
    made = known(("e", 0, 0.0), ("e", 3, 3.0), ("f", 0, 4.0), ("f", 2, 5.0))
    assert made.offered("e", 1) == 2 + 2
    assert made.offered("e", 1, 4.5) == 2
    assert made.offered("f", 1) == 1
    assert made.offered("g", 0) == 0


def test_event_between_two_known_ones_was_published():
    assert known(("e", 1, 1.0), ("e", 3, 3.0)).offered("e", 0, 3.0) == 3
