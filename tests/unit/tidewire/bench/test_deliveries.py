"""The account of numbered messages finds each fault, and takes no other number for a message's."""

import pytest

from tidewire.bench.deliveries import FIRST, Deliveries, Faults

NUMBERED = '{"message": "{number}"}'


def sent(deliveries, count):
    return [deliveries.send(float(index)) for index in range(count)]


def test_what_arrives_once_and_in_order_has_no_fault():
    deliveries = Deliveries(NUMBERED, sockets=2)
    for number, text in sent(deliveries, 3):
        for socket in (0, 1):
            deliveries.receive(socket, text, number - FIRST + 0.5)
    assert deliveries.faults({FIRST + index: (0, 1) for index in range(3)}) == Faults(0, 0, 0)
    assert deliveries.waits == [0.5] * 6
    assert deliveries.frames == 6


def test_a_lost_a_doubled_and_a_late_frame_are_counted():
    deliveries = Deliveries(NUMBERED, sockets=2)
    (_, first), (_, second), (_, third) = sent(deliveries, 3)
    for text in (first, first, second, third):
        deliveries.receive(0, text, 3.0)
    for text in (third, second):
        deliveries.receive(1, text, 3.0)
    assert deliveries.faults({FIRST + index: (0, 1) for index in range(3)}) == Faults(lost=1, doubled=1, reordered=1)


def test_a_message_is_lost_only_by_the_sockets_that_it_is_due_to():
    deliveries = Deliveries(NUMBERED, sockets=3)
    [(number, text)] = sent(deliveries, 1)
    deliveries.receive(0, text, 1.0)
    assert deliveries.faults({number: (0,)}) == Faults(0, 0, 0)
    assert deliveries.faults({number: (0, 2)}).lost == 1


@pytest.mark.parametrize("other", ['{"id": 1000009}', f'{{"time": {FIRST}123}}', '{"joined": "ada"}'])
def test_a_frame_with_another_number_or_none_is_no_delivery(other):
    deliveries = Deliveries(NUMBERED, sockets=1)
    [(number, _)] = sent(deliveries, 1)
    deliveries.receive(0, other, 1.0)
    assert deliveries.sockets_with(number) == set()
    assert (deliveries.frames, deliveries.waits) == (1, [])


def test_frames_without_a_number_belong_to_the_message_that_was_sent_last():
    deliveries = Deliveries('{"message": "hi"}', sockets=1)
    deliveries.receive(0, "welcome", 0.0)
    numbers = []
    for index in range(2):
        number, text = deliveries.send(float(index))
        assert text == '{"message": "hi"}'
        deliveries.receive(0, text, index + 0.25)
        numbers.append(number)
    deliveries.receive(0, "hi", 2.0)
    assert not deliveries.is_numbered
    assert deliveries.waits == [0.25, 0.25]
    assert deliveries.faults(dict.fromkeys(numbers, (0,))) == Faults(lost=0, doubled=1, reordered=0)
