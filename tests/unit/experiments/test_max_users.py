"""Two products' searches, by rounds."""

from experiments.max_users import UNLIMITED, only_delivery, table
from loadtest.run.objectives import OBJECTIVES, SETTINGS, Objectives


def report(users, *steps, at_least=False, **counts):
    rounds = [{"users": n, "p95_ms": p95, "starved": starved} for n, p95, starved in steps]
    return {"search": {"users": users, "at_least": at_least, "steps": rounds}, "counts": counts}


def test_each_round_is_a_line_with_the_steps_that_led_to_its_answer():
    reports = {
        "stock": [report(25, (25, 90.0, ""), (50, 400.0, ""), lost=3, late=0)],
        "tidewire": [report(600, (300, 20.0, ""), (600, 31.0, ""), (900, None, "full"), at_least=True, lost=0)],
    }
    assert table(reports).splitlines()[2:] == [
        "| stock | 1 | 25 | 25: 90, 50: 400 | 3 lost |",
        "| tidewire | 1 | at least 600 | 300: 20, 600: 31, 900: no delivery (generator) | nothing |",
    ]


def test_search_is_ended_by_the_latency_of_deliveries_alone(tmp_path):
    path = tmp_path / "objectives.toml"
    path.write_text(only_delivery(OBJECTIVES.read_text()))
    found, usual = vars(Objectives.read(path)), vars(Objectives.read())
    limited = {name for name, limit in found.items() if limit != UNLIMITED}
    assert limited == {"delivery_p95_ms", "generator_cpu_share", "generator_lag_ms", *SETTINGS}
    assert all(found[name] == usual[name] for name in limited)
