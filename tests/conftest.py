"""Fixtures that every tier may use; the stack's processes are in tests.stack."""

import contextlib
from collections.abc import Callable, Iterator

import pytest

from tests.stack import Stack, StackFactory, why_not


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
    if report.failed:
        factory = getattr(item, "funcargs", {}).get("stack_factory")
        stacks = factory.running if factory else []
        report.sections.extend((f"logs in {stack.layout.log}", stack.last_words()) for stack in stacks)
    return report
