"""The report of a benchmark: medians, verdicts and the document."""

import math

import pytest

from bench import benchmark_report
from bench.tables import Run, cell, number, table
from bench.target_results import judge

ABOUT = {
    "date": "2026-11-23 09:00 UTC",
    "command": "make bench",
    "commit": "0123456789ab",
    "changed": False,
    "cpu": "a processor",
    "cores": 2,
    "memory_gib": 8,
    "kernel": "6.1",
    "system": "Debian",
    "open_files": 20000,
    "pinned": {"server": 0, "others": 1},
    "versions": {"Python": "3.11.7", "npm ws": "8.23.0"},
}


def fanout(server, number, *, cpu=10.0, clients=1000, mode="single", p99=20.0, **more):
    return {
        "measure": "fanout",
        "server": server,
        "round": number,
        "clients": clients,
        "mode": mode,
        "disturbance": 0.01,
        "tries": 1,
        "cpu_us": cpu,
        "generator_us": 2.0,
        "redis_cpu_us_per_event": 50.0,
        "deliveries": 1000,
        "latency_ms": {"samples": 1000, "p50": 9.0, "p99": p99, "p999": 30.0, "max": 31.0},
        "lost": 0,
        "duplicated": 0,
        "reordered": 0,
        **more,
    }


def idle(server, variant, *, rss=8192, connect=0.5):
    return {
        "measure": "idle",
        "server": server,
        "round": 1,
        "clients": 4000,
        "variant": variant,
        "disturbance": 0.0,
        "tries": 1,
        "rss_bytes": rss,
        "connect_cpu_ms": connect,
        "idle_us_per_second": 3.5,
    }


def storm(server, *, cpu=0.8, **more):
    return {
        "measure": "storm",
        "server": server,
        "round": 1,
        "clients": 1000,
        "disturbance": 0.0,
        "tries": 1,
        "cpu_seconds": cpu,
        "refused": 0,
        "wrong": 0,
        "settled": True,
        "settled_seconds": 2.0,
        "deliveries": 4000,
        **more,
    }


def stall(server, variant, *, growth=0, p99=20.0):
    return {
        "measure": "stall",
        "server": server,
        "round": 1,
        "clients": 1000,
        "variant": variant,
        "disturbance": 0.0,
        "tries": 1,
        "events": 1000,
        "rss_peak_growth_bytes": growth,
        "latency_ms": {"p50": 9.0, "p99": p99},
        "lost": 0,
        "duplicated": 0,
        "reordered": 0,
        "stalled_closed": 5 if variant else 0,
    }


def run(*records, skipped=None):
    return Run({"about": ABOUT, "skipped": skipped or {}, "records": list(records)})


def verdicts(*records):
    return {(target.name, target.wanted): target.met for target in judge(run(*records))}


def verdict(part, *records):
    [met] = [met for (name, wanted), met in verdicts(*records).items() if part in f"{name}: {wanted}"]
    return met


def test_median_is_over_the_rounds_of_one_server_size_and_mode():
    measured = run(
        fanout("ws", 1, cpu=12.0),
        fanout("ws", 2, cpu=30.0),
        fanout("ws", 3, cpu=11.0),
        fanout("ws", 1, cpu=99.0, clients=200),
        fanout("ws", 1, cpu=98.0, mode="burst"),
        fanout("tidewire", 1, cpu=97.0),
    )
    spread = measured.spread("fanout", "ws", "cpu_us", clients=1000, mode="single")
    assert (spread.median, spread.least, spread.most, spread.rounds) == (12.0, 11.0, 30.0, 3)
    assert measured.median("fanout", "ws", "latency_ms.p99", clients=1000, mode="single") == pytest.approx(20.0)
    assert measured.median("fanout", "nchan", "cpu_us") is None


def test_failed_steps_are_in_no_median_and_are_told():
    failed = {"measure": "idle", "server": "ws", "round": 2, "clients": 4000, "error": "gone\nfor good"}
    measured = run(fanout("ws", 1), failed | {"disturbance": 0.5, "tries": 1}, skipped={"nchan": "no module"})
    assert measured.median("idle", "ws", "rss_bytes") is None
    text = benchmark_report.document(measured, [])
    assert "- nchan was skipped: no module" in text
    assert "- ws, idle, 4,000 clients, round 2: gone\n" in text


def test_numbers_have_three_digits_that_mean_something():
    assert [number(value) for value in (1.234, 12.34, 123.4, 12345.6)] == ["1.23", "12.3", "123", "12,346"]


def test_cell_shows_median_and_extremes_or_a_dash():
    measured = run(fanout("ws", 1, cpu=10.0), fanout("ws", 2, cpu=12.0), fanout("ws", 3, cpu=11.0))
    assert cell(measured.spread("fanout", "ws", "cpu_us")) == "11.0 (10.0-12.0)"
    assert cell(run(fanout("ws", 1)).spread("fanout", "ws", "cpu_us")) == "10.0"
    assert cell(None) == "-"


def test_table_is_markdown():
    assert table(["", "us"], [["ws", "12"]]) == "|  | us |\n| --- | ---: |\n| ws | 12 |"


@pytest.mark.parametrize(("ours", "met"), [(10.0, "met"), (12.0, "equal"), (12.5, "equal"), (14.0, "not met")])
def test_cost_is_held_against_ws_of_the_same_size(ours, met):
    records = (fanout("tidewire", 1, cpu=ours), fanout("ws", 1, cpu=12.0), fanout("ws", 1, cpu=1.0, clients=200))
    assert verdicts(*records)["CPU per delivery, 1,000 clients, single events", "below npm `ws`"] == met


def test_small_difference_is_equal_and_never_met():
    records = (fanout("tidewire", 1, cpu=8.01), fanout("ws", 1, cpu=8.10))
    assert verdicts(*records)["CPU per delivery, 1,000 clients, single events", "below npm `ws`"] == "equal"


def test_cheapest_way_to_set_up_ws_counts():
    records = (fanout("tidewire", 1, cpu=10.0), fanout("ws", 1, cpu=13.0), fanout("ws-buffer", 1, cpu=8.0))
    assert verdicts(*records)["CPU per delivery, 1,000 clients, single events", "below npm `ws`"] == "not met"
    assert "npm ws, Redis, one Buffer for all 8.00 µs" in benchmark_report.screen(run(*records))


@pytest.mark.parametrize(("stock", "met"), [(230.0, "met"), (200.0, "equal"), (170.0, "not met")])
def test_cheapest_stock_must_cost_twenty_times_as_much(stock, met):
    records = (fanout("daphne-core", 1, cpu=453.0), fanout("uvicorn-pubsub", 1, cpu=stock))
    assert verdict("times below the cheapest stock", fanout("tidewire", 1, cpu=10.0), *records) == met
    assert "uvicorn, channels_redis.pubsub" in benchmark_report.screen(run(fanout("tidewire", 1, cpu=10.0), *records))


@pytest.mark.parametrize(
    ("single", "burst", "met"), [(11.0, 2.4, "met"), (6.0, 2.3, "met"), (11.0, 2.75, "equal"), (11.0, 3.2, "not met")]
)
def test_bursts_are_cheap_or_four_times_cheaper(single, burst, met):
    records = (fanout("tidewire", 1, cpu=single), fanout("tidewire", 1, cpu=burst, mode="burst"))
    assert verdict("bursts of ten", *records) == met


@pytest.mark.parametrize(("connect", "met"), [(3.0, "met"), (4.4, "equal"), (5.5, "not met")])
def test_connect_with_a_session_is_compared_with_a_session(connect, met):
    """The ticket is no part of it, and of stock the cheapest counts."""
    records = (
        idle("tidewire", "session", connect=connect),
        idle("tidewire", "ticket", connect=1.0),
        idle("daphne-pubsub", "session", connect=9.0),
        idle("uvicorn-pubsub", "session", connect=4.5),
    )
    assert verdict("CPU per connect, each with a session", *records) == met


@pytest.mark.parametrize(("ticket", "met"), [(0.9, "met"), (1.0, "equal"), (1.3, "not met")])
def test_ticket_is_compared_with_its_own_session(ticket, met):
    records = (idle("tidewire", "ticket", connect=ticket), idle("tidewire", "session", connect=3.0))
    assert verdict("CPU per connect with a ticket", *records) == met


@pytest.mark.parametrize(("rss", "met"), [(10 * 1024, "met"), (18 * 1024, "equal"), (20 * 1024, "not met")])
def test_memory_is_that_of_a_connection_with_a_session(rss, met):
    assert verdict("RSS per idle", idle("tidewire", "session", rss=rss), idle("tidewire", "bare", rss=1)) == met


@pytest.mark.parametrize(
    ("more", "met"),
    [
        ({}, "met"),
        ({"cpu": 1.5}, "equal"),
        ({"cpu": 1.6}, "not met"),
        ({"refused": 1}, "not met"),
        ({"wrong": 1}, "not met"),
        ({"settled": False}, "not met"),
    ],
)
def test_storm_is_survived_cheaply_by_all_and_with_the_right_value(more, met):
    assert verdict("users connecting at once", storm("tidewire", **more)) == met


@pytest.mark.parametrize(
    ("growth", "p99", "met"), [(2**20, 25.0, ("met", "met")), (2**23, 34.0, ("not met", "not met"))]
)
def test_stalled_readers_cost_their_bound_and_nobody_else(growth, p99, met):
    records = (stall("tidewire", ""), stall("tidewire", "stalled", growth=growth, p99=p99))
    assert (verdict("RSS grows", *records), verdict("the others' p99", *records)) == met


@pytest.mark.parametrize("fault", ["lost", "duplicated", "reordered"])
def test_one_fault_in_any_round_is_enough(fault):
    assert verdict("none, in every run", fanout("tidewire", 1), fanout("tidewire", 2, **{fault: 1})) == "not met"
    assert verdict("none, in every run", fanout("tidewire", 1), fanout("ws", 2, **{fault: 1})) == "met"


def test_event_that_did_not_arrive_in_time_is_a_fault():
    """No gap shows it if it was the last one, or if its client received nothing at all."""
    assert verdict("none, in every run", fanout("tidewire", 1), fanout("tidewire", 2, incomplete=1)) == "not met"


@pytest.mark.parametrize("measure", ["fanout", "storm", "stall"])
def test_failed_round_of_ours_meets_no_target(measure):
    """The other rounds have medians that meet it."""
    good = {"fanout": fanout("tidewire", 1), "storm": storm("tidewire"), "stall": stall("tidewire", "stalled")}[measure]
    failed = {
        **{name: good[name] for name in ("measure", "server", "clients")},
        "round": 2,
        "error": "only 9 connected",
    }
    part = "users connecting at once" if measure == "storm" else "none, in every run"
    assert verdict(part, good, failed) == "not met"
    assert verdict(part, good, {**failed, "server": "ws"}) == "met"


def test_server_that_delivered_nothing_has_no_cost():
    """Its cost was no number, and was the cheapest of all, and equal to anything."""
    nothing = fanout("ws", 1, cpu=math.nan, deliveries=0)
    records = (fanout("tidewire", 1, cpu=10.0), nothing, fanout("ws-buffer", 1, cpu=8.0))
    assert verdicts(*records)["CPU per delivery, 1,000 clients, single events", "below npm `ws`"] == "not met"


@pytest.mark.parametrize(("wanted", "peer"), [("below npm `ws`", "uvicorn-pubsub"), ("20 times below", "ws")])
def test_target_without_its_peer_is_not_measured(wanted, peer):
    """A skipped server took its target out of the table."""
    found = verdicts(fanout("tidewire", 1), fanout(peer, 1, cpu=400.0))
    assert [
        met for (name, text), met in found.items() if name.startswith("CPU per delivery, 1,000") and wanted in text
    ] == [None]


def test_what_was_not_measured_is_no_verdict():
    assert set(verdicts().values()) == {None}


def test_document_says_where_its_figures_come_from():
    records = [
        fanout(server, number, clients=clients, mode=mode)
        for server in ("daphne-core", "ws", "tidewire")
        for number in (1, 2)
        for clients in (200, 1000)
        for mode in ("single", "burst")
    ]
    records += [
        idle("tidewire", "session"),
        idle("tidewire", "ticket"),
        idle("daphne-pubsub", "session"),
        storm("tidewire"),
    ]
    records += [stall("tidewire", ""), stall("tidewire", "stalled")]
    text = benchmark_report.document(run(*records), ["benchmarks/cpu.svg"])
    assert "| command | `make bench` |" in text
    assert "| date | 2026-11-23 09:00 UTC |" in text
    assert "| tidewire | 10.0 (10.0-10.0) | 10.0 (10.0-10.0) |" in text
    assert "![cpu](benchmarks/cpu.svg)" in text
    assert (
        "without events, microseconds a second:\n\n|  | bare | session | ticket |\n| --- | ---: | ---: | ---: |\n"
        in text
    )
    assert "| tidewire | - | 3.50 | 3.50 |" in text
    assert "Python 3.11.7, npm ws 8.23.0." in text
    # All costs are equal, and three targets require much lower ones.
    assert (text.count("| equal |"), text.count("**not met**")) == (3, 3)
    assert all(f"## {title}\n" in text for title in ("Targets", "Idle connections", "The connect storm", "Limits"))
    assert max(len(line) for line in text.splitlines() if not line.startswith("|")) <= 120


def test_screen_has_the_verdicts_that_there_are():
    said = benchmark_report.screen(run(fanout("tidewire", 1), fanout("ws", 1, cpu=12.0)))
    assert "met      CPU per delivery, 1,000 clients, single events: 10.0 µs; npm ws, Redis 12.0 µs" in said
    assert "not measured" not in said


def test_plots_are_the_same_for_the_same_figures(tmp_path):
    pytest.importorskip("matplotlib", reason="only `make bench` installs it")
    from bench.benchmark_plots import draw_all  # noqa: PLC0415 - only after the check that it can be imported

    measured = run(fanout("ws", 1), fanout("tidewire", 1), idle("tidewire", "ticket"))
    first, second = (draw_all(measured, tmp_path / name) for name in ("first", "second"))
    assert [path.name for path in first] == ["cpu.svg", "latency.svg", "connections.svg"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
