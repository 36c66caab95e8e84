"""Log lines of refused handshakes: the reason and the ids, and few lines of a flood."""

import logging

import pytest

from tidewire.refusals import LINES_PER_PERIOD, PERIOD_SECONDS, RefusalLog


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def log(clock):
    return RefusalLog(clock)


@pytest.fixture
def records(caplog):
    with caplog.at_level(logging.INFO, logger="tidewire.refusals"):
        yield lambda: caplog.records


def test_the_line_names_the_reason_and_the_handshake(log, records):
    log("busy", consumer="UsersConsumer", user="7", request_id="5f2a")
    [record] = records()
    assert record.getMessage() == "handshake refused: busy"
    assert (record.reason, record.consumer, record.user, record.request_id) == ("busy", "UsersConsumer", "7", "5f2a")


def test_a_detail_is_part_of_the_text_and_an_empty_id_of_nothing(log, records):
    log("origin", "'https://evil.example' for host 'docs.example.com'", request_id="")
    [record] = records()
    assert record.getMessage().endswith("origin, 'https://evil.example' for host 'docs.example.com'")
    assert not hasattr(record, "request_id")


def test_a_flood_has_few_lines_and_the_next_one_has_the_number(log, clock, records):
    for _ in range(1000):
        log("unauthenticated")
    assert len(records()) == LINES_PER_PERIOD
    clock.now += PERIOD_SECONDS
    log("unauthenticated")
    log("unauthenticated")
    assert len(records()) == LINES_PER_PERIOD + 2
    assert records()[-2].more_before == 1000 - LINES_PER_PERIOD
    assert not hasattr(records()[-1], "more_before")


def test_a_flood_of_one_reason_hides_no_other(log, records):
    for _ in range(1000):
        log("unauthenticated")
    log("origin")
    assert records()[-1].getMessage() == "handshake refused: origin"
