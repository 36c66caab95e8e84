"""The table says what differs, by how much, and what a reader must not believe."""

import pytest

from tidewire.bench.deliveries import Faults
from tidewire.bench.measurement import Figures, Load, Measured
from tidewire.bench.table import step, table

LOAD = Load(path="/ws/room/", sockets=300, messages=40, message="{number}", on_open="", headers={})


NONE = Faults(0, 0, 0)


def measured(microseconds, *, faults=NONE, sockets=300, is_echo=False, is_compressed=False, **figures):
    shown = {"p50_ms": 40.0, "p99_ms": 97.0, "cpu_seconds": 2.0, "client_cores": 0.1, "foreign_cores": 0.0} | figures
    return Measured(
        figures=Figures(microseconds=microseconds, **shown),
        kilobytes=35.04,
        faults=faults,
        audience=frozenset(range(sockets)),
        is_echo=is_echo,
        is_compressed=is_compressed,
    )


def rounds(before, after):
    return {"before": list(map(measured, before)), "after": list(map(measured, after))}


def test_each_figure_has_its_median_and_its_spread():
    lines = table(rounds([273.0, 250.0, 290.4], [52.0, 50.0, 7.25]), LOAD).splitlines()
    assert lines[0] == "/ws/room/: 300 sockets, 40 messages, a message reaches 300 sockets; rounds: 3"
    head, before, after = (" ".join(line.split()) for line in lines[2:5])
    assert head == "CPU us/frame p50 ms p99 ms KB/socket lost doubled reordered"
    assert before == "before 273 (250-290) 40 (40-40) 97 (97-97) 35 (35-35) 0 0 0"
    assert after.startswith("after 50 (7.2-52) 40 ")


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ([270.0, 300.0, 330.0], [45.0, 50.0, 60.0], "after: 6.0 times less CPU per frame (4.5 at least)."),
        ([50.0, 50.0], [100.0, 110.0], "after: 2.1 times more CPU per frame."),
        (
            [50.0, 60.0],
            [40.0, 50.0],
            "CPU per frame is equal within the spread: the rounds of before and after overlap.",
        ),
    ],
)
def test_the_verdict_says_equal_where_the_rounds_overlap(before, after, verdict):
    assert table(rounds(before, after), LOAD).splitlines()[-1] == verdict


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ({"cpu_seconds": 0.05}, "0.05 s of CPU in a round, too little for a comparison"),
        ({"foreign_cores": 1.25}, "Other programs used up to 1.2 cores"),
        ({"client_cores": 0.95}, "The clients used up to 0.9 of a core"),
    ],
)
def test_a_figure_that_is_not_exact_is_said(figures, words):
    good, bad = measured(100.0), measured(200.0, **figures)
    assert words in table({"before": [good], "after": [bad]}, LOAD)
    assert words not in table({"before": [good], "after": [good]}, LOAD)


def test_a_fault_stands_in_the_step_and_in_the_sum_of_the_rounds():
    faulty = measured(100.0, faults=Faults(lost=2, doubled=1, reordered=0))
    assert step(faulty) == "100 us per frame, p99 97 ms, 2 lost, 1 doubled"
    assert step(measured(100.0)) == "100 us per frame, p99 97 ms"
    after = table({"before": [faulty], "after": [faulty, faulty]}, LOAD).splitlines()[4]
    assert after.split()[-3:] == ["4", "2", "0"]


def test_an_echo_and_a_single_listener_are_named():
    echo = measured(100.0, is_echo=True)
    assert "a message reaches its sender" in table({"before": [echo], "after": [echo]}, LOAD)
    one = measured(100.0, sockets=1)
    assert "a message reaches 1 socket;" in table({"before": [one], "after": [one]}, LOAD)


def test_a_server_that_alone_compresses_is_named():
    """Uvicorn accepts the compression that each browser offers; Daphne does not."""
    words = "Only the server of before compresses messages"
    plain, compressed = measured(100.0), measured(200.0, is_compressed=True)
    assert words in table({"before": [compressed], "after": [plain]}, LOAD)
    assert words not in table({"before": [compressed], "after": [compressed]}, LOAD)
    assert words not in table({"before": [plain], "after": [plain]}, LOAD)
