"""tests.parallel: which tests may run at the same time in several processes."""

import os
import threading
from types import SimpleNamespace

import pytest

from tests.parallel import ALONE, LONGEST, Groups, Worker, order

TIMEOUT_SECONDS = 10.0


@pytest.fixture
def worker(tmp_path, monkeypatch):
    """Return `worker(number)`, which makes one of three processes."""
    monkeypatch.setenv("FREE_PORTS", "")

    def make(number):
        fields = {"workerid": f"gw{number}", "workercount": 3}
        return Worker(SimpleNamespace(workerinput=fields), tmp_path)

    return make


class Started:
    """A test that runs in a thread and ends when it is asked to."""

    def __init__(self, worker, *, alone=False):
        item = SimpleNamespace(get_closest_marker=lambda name: alone and name == ALONE)
        self._protocol = worker.pytest_runtest_protocol(item)
        self._runs, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        next(self._protocol)
        self._runs.set()
        self._over.wait(TIMEOUT_SECONDS)
        self._protocol.close()

    def runs(self, seconds=TIMEOUT_SECONDS):
        return self._runs.wait(seconds)

    def end(self):
        self._over.set()
        self._thread.join()


def test_tests_of_two_processes_run_side_by_side(worker):
    one, two = Started(worker(0)), Started(worker(1))
    assert one.runs()
    assert two.runs()
    one.end()
    two.end()


def test_a_test_that_runs_alone_waits_for_others_and_they_for_it(worker):
    one = Started(worker(0))
    assert one.runs()
    alone = Started(worker(1), alone=True)
    assert not alone.runs(0.2)
    late = Started(worker(2))
    assert not late.runs(0.2), "the test that runs alone has waited longer"
    one.end()
    assert alone.runs()
    assert not late.runs(0.2)
    alone.end()
    assert late.runs()
    late.end()


def test_the_order_begins_with_the_unit_tests_that_were_changed_last(tmp_path):
    def item(name, changed_at, markers=()):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (changed_at, changed_at))
        return SimpleNamespace(nodeid=f"{name}::test_it", path=path, get_closest_marker=lambda name: name in markers)

    expected = [
        item("tests/unit/web/test_new.py", 3),
        item("tests/unit/web/test_old.py", 1),
        item("tests/unit/deploy/test_lint.py", 2),
        item(LONGEST[0], 2),
        item("tests/browser/test_new.py", 3),
        item("tests/integration/test_new.py", 3, [ALONE]),
    ]
    backwards = expected[::-1]
    assert sorted(backwards, key=order) == expected


def test_no_two_processes_look_for_free_ports_in_the_same_range(worker):
    ranges = []
    for number in range(3):
        worker(number)
        ranges.append(range(*map(int, os.environ["FREE_PORTS"].split("-"))))
    assert len(set().union(*ranges)) == sum(map(len, ranges)) > 10_000


@pytest.mark.parametrize(
    ("browses", "waiting", "expected"),
    [
        (True, ["tests/unit/a.py", "long", "browser b", ALONE], "tests/unit/a.py"),
        (False, ["tests/unit/a.py", "long", "browser b", ALONE], "tests/unit/a.py"),
        (True, ["long", "browser b", ALONE], "browser b"),
        (False, ["long", "browser b", ALONE], "long"),
        (True, ["long", ALONE], "long"),
        (False, ["browser b", ALONE], None),
        (False, [ALONE], None),
        (True, [ALONE], ALONE),
    ],
)
def test_few_processes_run_browsers_and_what_runs_alone_is_the_last(browses, waiting, expected):
    """A browser keeps a core busy."""
    assert Groups._next(SimpleNamespace(workqueue=dict.fromkeys(waiting)), browses=browses) == expected
