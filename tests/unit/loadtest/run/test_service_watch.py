"""A process of the product that ends or is stopped is named, and so is the work of other processes."""

import itertools

import pytest

from loadtest.run.service_watch import ForeignLoad, ServiceWatch


class Services:
    def __init__(self, **pids):
        self.named = {name.replace("_", ":"): list(each) for name, each in pids.items()}

    def pids(self):
        return self.named


class Proc:
    """A directory of processes, in ticks of a hundredth of a second and nanoseconds, as the kernel writes it."""

    def __init__(self, root):
        self.root = root

    def process(self, pid, *, parent=1, state="S", cpu_seconds=0.0):
        (self.root / str(pid) / "task" / str(pid)).mkdir(parents=True, exist_ok=True)
        (self.root / str(pid) / "stat").write_text(f"{pid} (a (b) c) {state} {parent} 0 0")
        (self.root / str(pid) / "task" / str(pid) / "schedstat").write_text(f"{int(cpu_seconds * 1e9)} 0 0")

    def busy(self, seconds):
        (self.root / "stat").write_text(f"cpu {int(seconds * 100)} 0 0 0 0 0 0 0 0 0\n")


@pytest.fixture
def proc(tmp_path):
    made = Proc(tmp_path)
    for pid in (11, 12, 13):
        made.process(pid)
    return made


@pytest.fixture
def services():
    return Services(ws_18200=[11], ws_18201=[12], web=[13])


@pytest.fixture
def watch(services, proc):
    made = ServiceWatch(services, proc.root)
    for second in (0, 2):
        made.look(second, lambda _name, _pid: False)
    assert not made.ended
    return made


def never(_name, _pid):
    return False


def said(watch):
    return list(map(str, watch.ended))


def test_node_that_was_killed_is_named_with_its_return(watch, services, proc):
    services.named["ws:18201"] = []
    watch.look(10, never)
    assert said(watch) == ["service ws:18201 (process 12) ended at 10 s without an order of this run, and was not back"]
    proc.process(22)
    services.named["ws:18201"] = [22]
    watch.look(14, never)
    assert said(watch) == [
        "service ws:18201 (process 12) ended at 10 s without an order of this run, and was back at 14 s"
    ]


def test_node_that_was_stopped_is_named_once(watch, proc):
    proc.process(11, state="T")
    watch.look(10, never)
    watch.look(12, never)
    proc.process(11)
    watch.look(14, never)
    watch.look(16, never)
    assert said(watch) == [
        "service ws:18200 (process 11) was stopped at 10 s without an order of this run, and was back at 14 s"
    ]


def test_node_that_the_run_itself_has_ended_is_expected_to_end(watch, services):
    services.named["ws:18201"] = []
    watch.look(10, lambda name, pid: (name, pid) == ("ws:18201", 12))
    assert not watch.ended


def test_helper_of_a_moment_is_no_process_that_ended(watch, services):
    services.named["web"] = [13, 14]
    watch.look(4, never)
    services.named["web"] = [13]
    watch.look(6, never)
    assert not watch.ended


def test_foreign_load_is_what_neither_generator_nor_services_used(proc):
    times = itertools.count(0.0, 2.0)
    proc.process(20, parent=11)
    proc.busy(100.0)
    load = ForeignLoad(lambda: [11], lambda: next(times), proc.root)
    proc.busy(103.0)
    proc.process(11, cpu_seconds=1.0)
    proc.process(20, parent=11, cpu_seconds=0.5)
    proc.process(21, parent=11, cpu_seconds=0.5)
    # Three seconds in two, of which two are those of the process and of its old and new children.
    assert load.read() == pytest.approx(0.5)
    assert load.read() == 0.0
