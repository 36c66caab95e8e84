"""The state that all users of a run share: its phase, live users, published and received events, and all figures.

Owns no socket. Each process has one `Run`.
"""

from __future__ import annotations

import math
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from loadtest.run import figures
from loadtest.run.accounts import Accounts
from loadtest.run.clock_difference import Clocks, Difference
from loadtest.run.figures import Figures, Meter
from loadtest.run.generator_health import Sample
from loadtest.run.message_cache import Message, Messages
from loadtest.run.objectives import Objectives
from loadtest.run.planted_faults import PlantedFaults
from loadtest.run.rooms import GRACE_SECONDS
from loadtest.run.shapes import Search
from testkit.reconciliation import Account

PHASES = RAMP, HOLD, SETTLE, ENDED = "ramp", "hold", "settle", "ended"
# After the last page a user stays a member for the grace of three seconds; one second more to notify other users.
LINGER_SECONDS = 4.0
# Two clocks are good enough to judge latency if their difference is known to this share of the objective for p95.
CLOCK_SHARE = 0.1


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
    # From this second on latencies belong to the current step of a search.
    step_since: int | None = None
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
        self.started = self.clock()
        self.load_at_start = round(os.getloadavg()[0], 2)
        self.phases.append((RAMP, 0))

    @property
    def sockets(self) -> int:
        return self.paths.total()

    @property
    def second(self) -> int:
        return int(self.clock() - self.started)

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

    def answered(self, request_type: str, exception: object, **_more: object) -> None:
        """Count pages among Locust's requests, which include the run's own figures."""
        if request_type in ("GET", "POST"):
            self.pages["failed" if exception else "ok"] += 1

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
        self.accounts.published(epoch, message.event)
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
        account = self.accounts.reconcile()
        if excused := self.accounts.rooms.excused():
            self.incidents.append(
                f"messages that were not due: {excused:,}, sent within {GRACE_SECONDS:g} s of a client's coming or"
                " leaving and not received"
            )
        if not account.due:
            self.problem = self.problem or "no event was due to anybody: nothing was measured"
        return account

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

    def values(
        self, *, failed_requests: int, cpu_share: float, lag_ms: float, since: int = 0, until: float = math.inf
    ) -> dict[str, float]:
        """Return the figures that have objectives, by name. Deliveries count only from `since` to before `until`."""
        summaries = self.figures.summaries(since=since, until=until)
        whole = self.figures.summaries()
        values: dict[str, float] = {
            "failed_requests": failed_requests,
            "count_disagreements": self.disagreements(),
            "unaccounted_users": sum(map(len, self.unaccounted.values())),
            "generator_cpu_share": cpu_share,
            "generator_lag_ms": lag_ms,
        }
        if figures.DELIVERY in summaries and self.is_delivery_judged:
            values["delivery_p95_ms"] = summaries[figures.DELIVERY].p95
            values["delivery_p99_ms"] = summaries[figures.DELIVERY].p99
        for name, figure in (
            ("handshake_p95_ms", figures.HANDSHAKE),
            ("resume_p95_ms", figures.RESUME),
            ("count_p95_ms", figures.COUNT),
        ):
            if figure in whole:
                values[name] = whole[figure].p95
        return values
