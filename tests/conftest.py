"""The tiers of tests, and fixtures for all of them. `tests.stack` has the stack's processes."""

import contextlib
import gc
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

import pytest

from tests import parallel
from tests.stack import Stack, StackFactory, why_not

# The tiers as they are named on the command line, from quick to slow, each with the directories that contain only tests
# of that tier. In other directories a test's fixtures determine its tier.
TIERS: dict[str, tuple[str, ...]] = {
    "unit": (),
    "integration": ("integration/", "contract/"),
    "browser": ("browser/", "conformance/"),
    "faults": ("faults/",),
    "monitoring": ("monitoring/",),
    "newcomer": ("newcomer/",),
    "compose": (),
    "k8s": ("k8s/cluster/",),
}
# Tiers that run only if they are named, and why. Tests marked smoke always run.
ON_REQUEST = {
    "faults": "takes a quarter of an hour",
    "monitoring": "takes twelve minutes",
    "newcomer": "installs packages from an index",
    "compose": "needs a Docker engine",
    "k8s": "changes the cluster that KUBECONFIG names",
}
TIER = pytest.StashKey[str]()
OUTCOMES = ("passed", "failed", "error", "skipped")
STACK = {"stack", "start_stack", "stack_factory"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--tier",
        choices=TIERS,
        help="run one tier alone, in full; without it all that takes no minutes and needs no engine or cluster",
    )


def pytest_configure(config: pytest.Config) -> None:
    parallel.register(config)
    for name in TIERS:
        config.addinivalue_line("markers", f"{name}: of the tier of that name")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[object]:
    """Collect without garbage collections: they would examine the thousands of tests again and again, and all stay."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def tier(item: pytest.Item) -> str:
    return item.stash[TIER]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        _mark(item)
    if wanted := config.getoption("tier"):
        config.hook.pytest_deselected(items=[item for item in items if tier(item) != wanted])
        items[:] = [item for item in items if tier(item) == wanted]
    else:
        for item in items:
            if (name := tier(item)) in ON_REQUEST and not item.get_closest_marker("smoke"):
                item.add_marker(pytest.mark.skip(reason=f"{ON_REQUEST[name]}: `make test TIER={name}` runs it"))
    numbers = {name: number for number, name in enumerate(TIERS)}
    items.sort(key=lambda item: numbers[tier(item)])
    if shared := parallel.shared_directory(config):
        items.sort(key=parallel.order)
        parallel.name_groups(items, shared)


def _mark(item: pytest.Item) -> None:
    """Give a test the marker of its tier, from its directory or its fixtures."""
    place = item.nodeid.removeprefix("tests/")
    used = set(getattr(item, "fixturenames", ()))
    # Read once, because pytest collects a test's markers again for each question.
    marks = {mark.name for mark in item.iter_markers()}
    if name := next((name for name, places in TIERS.items() if place.startswith(places)), None):
        pass
    elif not marks & ON_REQUEST.keys():
        # Otherwise for example a test in containers that also drives a browser.
        if "chromium" in used:
            name = "browser"
        elif used & STACK and not marks & TIERS.keys():
            name = "integration"
    if name:
        marks.add(name)
        item.add_marker(name)
    item.stash[TIER] = next((each for each in TIERS if each in marks), "unit")


@pytest.fixture(scope="session")
def stack_factory(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> StackFactory:
    """Make stacks that are not started yet, for tests and fixtures that must control a stack's lifetime."""
    if reason := why_not():
        pytest.skip(reason)
    return StackFactory(tmp_path_factory.mktemp("stacks"), parallel.shared_directory(pytestconfig))


@pytest.fixture(scope="session")
def stack(stack_factory: StackFactory) -> Iterator[Stack]:
    """Start the stack that all tests share. They must leave its processes and other tests' documents alone."""
    with stack_factory() as running:
        yield running


@pytest.fixture
def start_stack(stack_factory: StackFactory) -> Iterator[Callable[..., Stack]]:
    """Yield `start_stack(web=1, ws=2, **env)`, which starts a stack for one test. The test may stop its processes."""
    with contextlib.ExitStack() as running:

        def start(**options) -> Stack:
            return running.enter_context(stack_factory(**options))

        yield start


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """After a failure, add the end of every process's log to the report."""
    report = yield
    report.tier = tier(item)
    if report.failed:
        factory = getattr(item, "funcargs", {}).get("stack_factory")
        stacks = factory.running if factory else []
        report.sections.extend((f"logs in {stack.layout.log}", stack.last_words()) for stack in stacks)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print each tier's results, the total time of its tests and the time from its first start to its last end."""
    results: defaultdict[str, Counter[str]] = defaultdict(Counter)
    reports: defaultdict[str, list[pytest.TestReport]] = defaultdict(list)
    for outcome, each in terminalreporter.stats.items():
        for report in each:
            # A module that could not be imported has no tier; pytest reports it.
            if isinstance(report, pytest.TestReport):
                reports[report.tier].append(report)
                if outcome in OUTCOMES:
                    results[report.tier][outcome] += 1
    for name in TIERS:
        if name in results:
            counts = ", ".join(f"{count} {outcome}" for outcome, count in results[name].items())
            seconds = sum(report.duration for report in reports[name])
            span = max(report.stop for report in reports[name]) - min(report.start for report in reports[name])
            terminalreporter.write_line(f"{name}: {counts}; {seconds:.0f} s of tests in {span:.0f} s")
