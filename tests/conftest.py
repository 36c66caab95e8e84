"""Fixtures that every tier may use; the stack's processes are in tests.stack."""

import contextlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

import pytest

from tests.stack import Stack, StackFactory, why_not

# From quick to slow. Browsers also come last because Playwright keeps an event loop running, beside which
# pytest-asyncio cannot start its own.
TIERS = ("unit", "integration", "faults", "compose", "k8s", "browser")


def tier(item: pytest.Item) -> str:
    return next((name for name in TIERS[1:] if item.get_closest_marker(name)), "unit")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: TIERS.index(tier(item)))


@pytest.fixture(scope="session")
def stack_factory(tmp_path_factory: pytest.TempPathFactory) -> StackFactory:
    """Stacks that are not started yet, for what needs its own span of life."""
    if reason := why_not():
        pytest.skip(reason)
    return StackFactory(tmp_path_factory.mktemp("stacks"))


@pytest.fixture(scope="session")
def stack(stack_factory: StackFactory) -> Iterator[Stack]:
    """The running stack that all tests share: leave its processes running and other tests' documents alone."""
    with stack_factory() as running:
        yield running


@pytest.fixture
def start_stack(stack_factory: StackFactory) -> Iterator[Callable[..., Stack]]:
    """`start_stack(web=1, ws=2, **env)` starts a stack of the test's own, whose processes it may stop and break."""
    with contextlib.ExitStack() as running:

        def start(**options) -> Stack:
            return running.enter_context(stack_factory(**options))

        yield start


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """After a failure, the end of every process's log stands beside it."""
    report = yield
    report.tier = tier(item)
    if report.failed:
        factory = getattr(item, "funcargs", {}).get("stack_factory")
        stacks = factory.running if factory else []
        report.sections.extend((f"logs in {stack.layout.log}", stack.last_words()) for stack in stacks)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many of each tier, and how long they took."""
    results: defaultdict[str, Counter[str]] = defaultdict(Counter)
    seconds: Counter[str] = Counter()
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            # What could not even be imported belongs to none; pytest names it.
            if isinstance(report, pytest.TestReport):
                results[report.tier][outcome] += 1
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                seconds[report.tier] += report.duration
    for name in TIERS:
        if name in results:
            counts = ", ".join(f"{count} {outcome}" for outcome, count in results[name].items())
            terminalreporter.write_line(f"{name}: {counts} in {seconds[name]:.0f} s")
