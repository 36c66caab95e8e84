"""Two products' searches, by rounds."""

from experiments.max_users import table


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
