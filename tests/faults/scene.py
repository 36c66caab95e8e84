"""The scene of a fault: the stack, a crowd on pages, events at a rate, a watch on presence, and the row of results."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Self

from tests.faults import table
from tests.faults.account import percentile
from tests.faults.client import Page
from tests.faults.crowd import Crowd, CrowdError, Diary, codes, peak_connects
from tests.faults.event_source import Publisher, committed
from tests.faults.presence_watcher import USERS, Watcher
from tests.faults.table import Row, Target
from tests.stack import Stack

USERS_PATH = "/ws/users/"
# The sockets of a person's page: the list with the count of users and the notifications.
PATHS = (USERS_PATH, "/ws/notifications/", "/ws/documents/")
SOCKETS_PER_PERSON = len(PATHS)
# Time after the last event for every page to show it: longer than the longest delay of a return that failed twice.
CATCH_UP_SECONDS = 30.0
# Time for the first events to reach every page.
FLOW_SECONDS = 60.0
# Some events flow before a fault, and some after it.
CALM_SECONDS = 3.0
# By then every client must have detected that its socket is lost.
NOTICED_SECONDS = 1.0


@dataclass(frozen=True)
class Size:
    """The size of a fault: full for `make test-faults`, small for a run with all other tests."""

    full: bool

    def __call__(self, full: float, small: float) -> int:
        return int(full if self.full else small)


def people(
    stack: Stack,
    count: int,
    *,
    returns: Callable[[int], bool] = lambda _i: True,
    prefix: str = "person",
    paths: Sequence[str] = PATHS,
) -> list[Page]:
    """Return the pages of `count` people. `returns(i)`: whether person i reconnects after a socket is lost."""
    names = [f"{prefix}-{i}" for i in range(count)]
    cookies = stack.sessions(*names, tickets=True)
    pages = [Page(name, cookies[name], path, returns=returns(i)) for i, name in enumerate(names) for path in paths]
    # Otherwise nginx, which assigns nodes in turn, would give each kind of socket a node of its own.
    random.Random(0).shuffle(pages)
    return pages


class Scene:
    """`with Scene(stack, "kill -9", pages=..., per_second=50, note=print) as scene`: all sockets are open, events flow.

    The test causes the fault, then calls `catch_up`, states targets, and calls `verdict`.
    """

    def __init__(
        self,
        stack: Stack,
        fault: str,
        *,
        pages: Sequence[Page],
        per_second: float,
        note: Callable[[str], None],
        keep: bool = False,
        small: bool = False,
        order: int = 0,
        topic_phases: Sequence[tuple[str, str]] = (),
        connects_per_second: float = 250.0,
    ) -> None:
        self.stack = stack
        self.row = Row(fault, order=order, sockets=len(pages), per_second=per_second, small=small)
        self.began = 0.0
        self.after = 0
        self.diaries: list[Diary] = []
        self.due: list[tuple[int, float]] = []
        self.latencies: dict[str, list[float]] = {}
        self._note = note
        self._keep = keep
        self._connects_per_second = connects_per_second
        self._closing = contextlib.ExitStack()
        self.crowd = Crowd(stack, pages)
        self.publisher = Publisher(stack, per_second)
        self.watcher = Watcher(stack, *topic_phases)

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as closing:
            closing.enter_context(self.crowd)
            closing.enter_context(self.watcher)
            before = committed(self.stack)
            self.after = before[-1][0] if before else 0
            self.note(f"{self.row.sockets:,} sockets connect")
            self.crowd.connect(per_second=self._connects_per_second)
            if self.row.per_second:
                closing.enter_context(self.publisher)
                # A publisher may start slowly on a busy machine, and a fault without events would prove nothing.
                self.crowd.wait(lambda status: status["behind"] == 0, FLOW_SECONDS, shown=self.after + 2)
            self.calm()
            self._closing = closing.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._closing.__exit__(*exception)

    def note(self, words: str) -> None:
        self._note(f"{self.row.fault}: {words}")

    def calm(self, seconds: float = CALM_SECONDS) -> None:
        """Let events flow undisturbed for a while."""
        time.sleep(seconds)

    def begin(self, words: str) -> float:
        """Begin the fault: earlier codes, connects and changes of presence do not count."""
        self.note(words)
        self.began = time.time()
        return self.began

    def back(self, timeout_seconds: float = 60.0) -> None:
        """Wait until every socket that should return is open again."""
        time.sleep(NOTICED_SECONDS)
        self.crowd.wait(lambda status: status["disconnected"] == 0, timeout_seconds)

    def until(self, seconds: float) -> None:
        """Wait until this number of seconds after the fault began."""
        time.sleep(max(self.began + seconds - time.time(), 0.0))

    def span(self, name: str, seconds: float) -> None:
        """Wait for this number of seconds, and assign the latencies of arriving events to the span."""
        self.crowd.ask("mark", span=name)
        time.sleep(seconds)
        self.crowd.ask("mark", span="between")

    def catch_up(self, timeout_seconds: float = CATCH_UP_SECONDS) -> None:
        """Stop publishing, wait until every page has shown the last event, and compute the account."""
        self.note("the last events arrive")
        self.publisher.stop()
        due = self.due = committed(self.stack, self.after)
        if due:
            # The account reports events that never arrive.
            with contextlib.suppress(CrowdError):
                self.crowd.wait(lambda status: status["behind"] == 0, timeout_seconds, shown=due[-1][0])
        row = self.row
        row.account = self.crowd.account(due)
        self.diaries = self.crowd.diaries()
        self.latencies = self.crowd.ask("latencies")
        row.codes = {str(code): count for code, count in sorted(codes(self.diaries, self.began).items())}
        row.peak_connects = peak_connects(self.diaries, self.began)
        returns = [at for diary in self.diaries for at in diary.opens if at >= self.began]
        row.healed_seconds = max(returns) - self.began if returns else None

    def presence(self, *, leave: Collection[str] = (), may: Collection[str] = ()) -> None:
        """Check all leaves since the fault: `leave` must have left once, `may` can have left, others are flickers."""
        leaves = self.watcher.left(self.began)
        had_to = set(leave)
        self.row.flickers = sum(1 for _, member in leaves if member not in had_to.union(may))
        members = self.watcher.members[USERS]
        ghosts = [member for member in had_to if member in members]
        self.row.ghosts = len(ghosts)
        times = [at for at, member in leaves if member in had_to]
        self.row.ghost_seconds = max(times) - self.began if times else None
        again = len(times) - len({member for _, member in leaves if member in had_to})
        if had_to:
            self.target(
                "every member that did not return left exactly once",
                not again and not ghosts,
                f"{len(times)} leaves of {len(had_to)} members, {len(ghosts)} still there",
            )
        self.target(
            "no member that returned in time left or joined", self.row.flickers == 0, f"{self.row.flickers} did"
        )

    def latency_target(self, span: str, without: Sequence[str]) -> None:
        """State the target that the others' p99 is within twice that of the worse span before or after the fault."""
        late = self.latencies
        base = max(percentile(late.get(each, ()), 0.99) for each in without)
        late_p99 = percentile(late.get(span, ()), 0.99)
        measured = f"{late_p99 * 1000:.0f} ms of {len(late.get(span, ())):,}; {base * 1000:.0f} ms without"
        self.target(f"{span}: the others' p99 within 2 times of without", 0 < late_p99 <= 2 * base, measured)

    def counts(self) -> None:
        """Check the counts of users that pages showed since the fault began: each must be the number of all users."""
        everybody = len({page.user for page in self.crowd.pages if page.path == USERS_PATH})
        shown = {count for diary in self.diaries for at, count in diary.counts if at >= self.began}
        odd = sorted(shown - {everybody})
        self.target(f"no page showed another count of users than {everybody}", not odd, odd[:5] or "none did")

    def nothing_lost(self) -> None:
        """State the targets of every fault: no event lost, duplicated or reordered."""
        account = self.row.account
        self.target("events were due", account.due > 0, f"{account.due:,}")
        for word in ("lost", "duplicated", "reordered"):
            count = getattr(account, word)
            self.target(f"0 {word}", count == 0, f"{count:,} of {account.due:,} due to {account.clients:,} sockets")
        self.row.remarks += [f"e.g. {example}" for example in account.examples]

    def target(self, words: str, met: bool, measured: object, reason: str = "") -> None:
        """Note a target and whether it was met; `verdict` fails for those without a reason."""
        self.row.targets.append(Target(words, bool(met), str(measured), reason))

    def remark(self, words: str) -> None:
        self.row.remarks.append(words)

    def verdict(self) -> None:
        """Print the row, save it for the document if requested, and fail for targets that were not met."""
        self.row.when, self.row.commit = table.now(), table.commit()
        for line in self.row.lines():
            self._note(line)
        if self._keep:
            self.row.save()
        failures = table.unmet(self.row.targets)
        assert not failures, "\n".join([*failures, *self.row.remarks])
