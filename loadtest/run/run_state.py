"""The state that all users of a run share: its phase, live users, published and received events, and all figures.

Owns no socket. Each process has one `Run`.
"""

from __future__ import annotations

import math
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from loadtest.run import figures
from loadtest.run.accounts import Accounts
from loadtest.run.causes import SERVER_ERROR, cause, own_fault
from loadtest.run.clock_difference import Clocks, Difference
from loadtest.run.figures import Figures, Meter
from loadtest.run.generator_health import Sample
from loadtest.run.message_cache import Message, Messages
from loadtest.run.objectives import Objectives
from loadtest.run.page_error import PageError
from loadtest.run.planted_faults import PlantedFaults
from loadtest.run.rooms import GRACE_SECONDS
from loadtest.run.service_watch import Ended
from loadtest.run.shapes import Search
from testkit.delivery_ledger import Kind
from testkit.reconciliation import Account

PHASES = RAMP, HOLD, SETTLE, ENDED = "ramp", "hold", "settle", "ended"
# After the last page a user stays a member for the grace of three seconds; one second more to notify other users.
LINGER_SECONDS = 4.0
# Two clocks are good enough to judge latency if their difference is known to this share of the objective for p95.
CLOCK_SHARE = 0.1
# Logins have a figure of their own.
LOGIN_PATH = "/login/"


class Report(Protocol):
    """The signature of Locust's `events.request.fire`."""

    def __call__(self, **request: Any) -> None: ...


class ReportMany(Protocol):
    """Reports a figure's values of one second, in milliseconds, with the number of times that each occurred."""

    def __call__(self, kind: str, name: str, counts: Mapping[float, int], /) -> None: ...


@dataclass
class Run:
    objectives: Objectives
    report: Report
    # If the generator and the servers have different clocks, an event's time must be converted to this one.
    clocks: Clocks = field(default_factory=lambda: Clocks(one=True))
    clock: Callable[[], float] = time.time
    planted: PlantedFaults | None = None
    # The factor by which the journeys' pauses are longer.
    pace: float = 1.0
    report_many: ReportMany | None = None

    figures: Figures = field(default_factory=Figures)
    phase: str = RAMP
    users: set[str] = field(default_factory=set)
    # Open sockets by path.
    paths: Counter[str] = field(default_factory=Counter)
    messages: Messages = field(default_factory=Messages)
    accounts: Accounts = field(default_factory=Accounts)
    online: set[str] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)
    editing: dict[tuple[str, str], float] = field(default_factory=dict)
    edited_until: dict[tuple[str, str], float] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    phases: list[tuple[str, int]] = field(default_factory=list)
    # Requested pages by result.
    pages: Counter[str] = field(default_factory=Counter)
    # The greatest memory use of each service, in bytes.
    memory: dict[str, int] = field(default_factory=dict)
    # Commands of the run controller: whether sockets have a network, and the share of the users at work.
    network: bool = True
    active_share: float = 1.0
    # From these seconds on latencies belong to the current step of a search: since its users began to come, and since
    # all of them are at work.
    step_came: int | None = None
    step_since: int | None = None
    # Users of this process that could not arrive.
    failed_arrivals: int = 0
    # Processes of the product that ended or were stopped without an order of the run.
    ended_services: Sequence[Ended] = ()
    # Addresses that sockets use in turns instead of the page's, and the file of the authority that signed
    # certificates.
    addresses: tuple[str, ...] = ()
    authority: str = ""
    # Users that other processes of this run have on the page.
    online_elsewhere: int = 0
    differences: dict[str, Difference] = field(default_factory=dict)
    search: Search | None = None
    # The name of the locustfile's own shape, if it has one.
    own_shape: str = ""
    # Sentences about the operations on nodes.
    incidents: list[str] = field(default_factory=list)
    # Users of lost generator processes, by a description of the loss.
    unaccounted: dict[str, list[str]] = field(default_factory=dict)
    problem: str = ""

    def __post_init__(self) -> None:
        self._meters: dict[str, Meter] = {}
        self.accounts.rooms.late_seconds = self.objectives.late_seconds
        self._last_own_fault: Exception | None = None
        self.started = self.clock()
        self.accounts.grace_seconds = self.objectives.left_grace_seconds
        self.accounts.second_of = self.second_at
        self.load_at_start = round(os.getloadavg()[0], 2)
        self.phases.append((RAMP, 0))

    @property
    def sockets(self) -> int:
        return self.paths.total()

    @property
    def second(self) -> int:
        return self.second_at(self.clock())

    def second_at(self, at: float) -> int:
        return int(at - self.started)

    @property
    def is_working(self) -> bool:
        """Whether users go on with their journeys, rather than wait for due events."""
        return self.phase in (RAMP, HOLD)

    def enter(self, phase: str) -> None:
        self.phase = phase
        self.phases.append((phase, self.second))

    def note(self, name: str) -> None:
        """Record a stretch of the hold for the plots; the phase stays the same."""
        self.phases.append((name, self.second))

    def is_absent(self, number: int) -> bool:
        """Return whether the user of this number, from 1, is logged in but on no page, as before and after a spike."""
        # Spread over all users, because a user's number also decides on the journey.
        return self.phase == HOLD and (number * 7919) % 100 >= self.active_share * 100

    def measured(self, kind: str, name: str, seconds: float, *, what: str = "") -> None:
        """Record a value of one of the run's figures, and a request for Locust, which `what` may name more exactly."""
        self.figures.latencies[name].add(self.second, seconds * 1000)
        self.report(
            request_type=kind,
            name=what or name,
            response_time=seconds * 1000,
            response_length=0,
            exception=None,
            context={},
        )

    def answered(
        self, request_type: str, name: str, response_time: float, exception: Exception | None, **_more: object
    ) -> None:
        """Record each of Locust's requests: the time of a page, and the cause of any failure.

        Locust's requests include the run's own figures, which only count if they failed.
        """
        if exception is not None:
            self.figures.failures.note(f"{request_type} {name}: {cause(exception)}", self.second, str(exception))
        if request_type in ("GET", "POST"):
            self.pages["failed" if exception else "ok"] += 1
            if exception is None and name != LOGIN_PATH:
                self.figures.latencies[figures.PAGE].add(self.second, response_time)

    def user_failed(self, error: Exception, *, has_arrived: bool) -> None:
        """Record an exception of a user's journey. Unless a page caused it, the load test's own code is at fault."""
        self.failed_arrivals += not has_arrived
        if not isinstance(error, PageError):
            self.broke(error)
        elif not error.is_counted:
            self.failed("PAGE", error.name, error)

    def broke(self, error: Exception) -> None:
        """Record an exception of the load test's own code, once even if several places report it."""
        if error is not self._last_own_fault:
            self._last_own_fault = error
            self.figures.own_faults.note(own_fault(error), self.second)

    def meter(self, kind: str, name: str) -> Meter:
        """Return the meter of a figure that can have thousands of values a second."""

        def report_second(second: int, counts: Counter[float]) -> None:
            self.figures.latencies[name].add_all(second, counts)
            if self.report_many is not None:
                self.report_many(kind, name, counts)

        return self._meters.setdefault(name, Meter(report_second))

    def flush(self) -> None:
        """Record the values that wait in meters. This must come before any reading of the figures."""
        for meter in self._meters.values():
            meter.flush()

    def failed(self, kind: str, name: str, error: Exception) -> None:
        self.report(request_type=kind, name=name, response_time=0, response_length=0, exception=error, context={})

    def delivered(self, event_type: str) -> None:
        self.figures.deliveries[event_type][self.second] += 1

    def first_received(self, epoch: str, message: Message, now: float) -> None:
        """Record a message of the stream that no client of this process had received before."""
        message.is_published = True
        # An event cannot have been published after its arrival, whatever the clocks say.
        at = min(now, message.stamped - self.clocks.ahead_seconds) if self.clocks.is_known else now
        self.accounts.published(epoch, message.event, at)
        save = self.accounts.save_of(message.event)
        if save is not None and save.sent:
            self.clocks.saved(save.sent, message.stamped, now)

    def begin_editing(self, slug: str, user: str) -> None:
        """Record that other users should see this user in the document, unless they cannot have seen the user leave."""
        now = self.clock()
        # A form that is loaded again, as after a conflict, changes nothing that other users see.
        if (slug, user) not in self.editing and now - self.edited_until.get((slug, user), 0.0) > LINGER_SECONDS:
            self.editing[slug, user] = now

    def end_editing(self, slug: str, user: str) -> None:
        self.editing.pop((slug, user), None)
        self.edited_until[slug, user] = self.clock()

    def reconcile(self) -> Account:
        """Reconcile all ledgers, while all users are still connected."""
        self.flush()
        account = self.accounts.reconcile(self.clock())
        if excused := self.accounts.rooms.excused():
            self.incidents.append(
                f"messages that were not due: {excused:,}, sent within {GRACE_SECONDS:g} s of a client's coming or"
                " leaving and not received"
            )
        if not account.due:
            self.problem = self.problem or "no event was due to anybody: nothing was measured"
        return account

    def fault_counts(self, until: float = math.inf) -> dict[Kind, int]:
        """Return the faults of events published before a second of the run, or of which this is not known."""
        counts: Counter[Kind] = Counter()
        for (kind, second), count in (self.accounts.account.seconds if self.accounts.account else {}).items():
            counts[kind] += count if second < until else 0
        return counts

    def clock_differences(self) -> Mapping[str, Difference]:
        """Return the clock difference of each process; this process has no name."""
        return self.differences or {"": self.clocks.difference}

    @property
    def is_delivery_judged(self) -> bool:
        """Whether every process knows the servers' clock well enough to judge the latency of deliveries."""
        allowed = self.objectives.delivery_p95_ms / 1000 * CLOCK_SHARE
        return all(each.error <= allowed and each.contradicted <= allowed for each in self.clock_differences().values())

    def disagreements(self) -> int:
        """Return the number of clients that show another count than most, or of all clients if most show too few."""
        shown = Counter(self.counts[user] for user in self.online if user in self.counts)
        if not shown:
            return 0
        usual, agreeing = shown.most_common(1)[0]
        return shown.total() if usual < len(self.online) else shown.total() - agreeing

    def values(self, *, cpu_share: float, lag_ms: float, since: int = 0, until: float = math.inf) -> dict[str, float]:
        """Return the figures that have objectives, by name, of the seconds before `until`.

        Those of users at work count only from `since` on.
        """
        values: dict[str, float] = {
            "failed_requests": self.figures.failures.count(until=until),
            "server_errors": self.figures.failures.count(containing=SERVER_ERROR, until=until),
            "count_disagreements": self.disagreements(),
            "unaccounted_users": sum(map(len, self.unaccounted.values())),
            "unexplained": abs(self.accounts.account.unexplained) if self.accounts.account else 0,
            "services_ended": len(self.ended_services),
            "generator_cpu_share": cpu_share,
            "generator_lag_ms": lag_ms,
        }
        latencies = {name: each.counts(until=until) for name, each in self.figures.latencies.items()}
        for name in figures.AT_WORK:
            latencies[name] = self.figures.latencies[name].counts(since=since, until=until)
        if not self.is_delivery_judged:
            del latencies[figures.DELIVERY]
        return values | figures.judged(latencies)
