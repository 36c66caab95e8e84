"""What all users of one run share: its phase, who is live, what was published and heard, and every figure.

Owns no socket. One process has one `Run`.
"""

from __future__ import annotations

import math
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from loadtest import figures
from loadtest.accounting import Account, Tally, ends_of, tally, together
from loadtest.clocks import Clocks, Difference
from loadtest.figures import Figures, Meter
from loadtest.generator import Sample
from loadtest.ledger import Kind, Ledger
from loadtest.messages import Message, Messages
from loadtest.planting import Planters
from loadtest.shapes import Search
from loadtest.verdict import Objectives

PHASES = RAMP, HOLD, SETTLE, ENDED = "ramp", "hold", "settle", "ended"
# After its last page a user stays a member for the grace of three seconds; with a second to be told of it.
LINGER_SECONDS = 4.0
# Two clocks are near enough to judge by when their difference is known to this share of the objective for p95.
CLOCK_SHARE = 0.1


class Report(Protocol):
    """What Locust's `events.request.fire` takes."""

    def __call__(self, **request: Any) -> None: ...


class ReportMany(Protocol):
    """The same for a second's values of one figure, each in milliseconds with how often it came."""

    def __call__(self, kind: str, name: str, counts: Mapping[float, int], /) -> None: ...


@dataclass
class Save:
    """A save by its mark: when it was meant to be sent and when it was, and whether the page said that it was done."""

    intended: float
    sent: float = 0.0
    confirmed: bool = False


@dataclass
class Run:
    objectives: Objectives
    report: Report
    # Where the generator and the servers have different clocks, an event's own time needs to be set to this one's.
    clocks: Clocks = field(default_factory=lambda: Clocks(one=True))
    clock: Callable[[], float] = time.time
    plant: Planters | None = None
    # How sockets are read, see wires.py; and how often each thing is due: journeys' pauses are so many times as long.
    engine: str = "loop"
    pace: float = 1.0
    report_many: ReportMany | None = None

    figures: Figures = field(default_factory=Figures)
    phase: str = RAMP
    users: set[str] = field(default_factory=set)
    # Open ones, by path.
    paths: Counter[str] = field(default_factory=Counter)
    messages: Messages = field(default_factory=Messages)
    ledgers: list[Ledger] = field(default_factory=list)
    # Of pages that were left: what was theirs is settled.
    left: Tally = field(default_factory=Tally)
    names: dict[tuple[str, int], str] = field(default_factory=dict)
    saves: dict[str, Save] = field(default_factory=dict)
    heard: set[str] = field(default_factory=set)
    # The furthest offset that any client has seen.
    furthest: int = 0
    online: set[str] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)
    editing: dict[tuple[str, str], float] = field(default_factory=dict)
    edited_until: dict[tuple[str, str], float] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    phases: list[tuple[str, int]] = field(default_factory=list)
    in_flight: int = 0
    conflicts: int = 0
    # Pages that were asked for, by result.
    pages: Counter[str] = field(default_factory=Counter)
    # The most that each service held, in bytes.
    memory: dict[str, int] = field(default_factory=dict)
    # How far each epoch went, as far as anybody here knows.
    ends: dict[str, int] = field(default_factory=dict)
    # What the run's course orders: whether sockets have a network, which share of the users is at work.
    network: bool = True
    awake_share: float = 1.0
    # From this second on latencies belong to the step of a search that runs.
    step_since: int | None = None
    # Where sockets go in place of the page's address, in turns; the file that certificates are checked with.
    addresses: tuple[str, ...] = ()
    authority: str = ""
    # Users that other processes of this run have on the page.
    online_elsewhere: int = 0
    # Of a process that only orders: what the others found out. Their part of the reconciliation is done there.
    parts: list[Tally] = field(default_factory=list)
    differences: dict[str, Difference] = field(default_factory=dict)
    confirmed: set[str] = field(default_factory=set)
    search: Search | None = None
    # What was done to the nodes, a sentence each.
    incidents: list[str] = field(default_factory=list)
    # Users of a generator process that was lost, by what to say of it.
    unaccounted: dict[str, list[str]] = field(default_factory=dict)
    end: tuple[str, int] | None = None
    account: Account | None = None
    problem: str = ""

    def __post_init__(self) -> None:
        self._meters: dict[str, Meter] = {}
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
        """Whether users go on with their journeys, rather than wait for what is still due."""
        return self.phase in (RAMP, HOLD)

    def enter(self, phase: str) -> None:
        self.phase = phase
        self.phases.append((phase, self.second))

    def note(self, name: str) -> None:
        """A stretch of the hold, for the plots; the phase stays what it is."""
        self.phases.append((name, self.second))

    def is_away(self, number: int) -> bool:
        """Whether the user of this number, from 1, is logged in and not on any page: before and after a spike."""
        # Spread over all users, because their journeys go by their numbers.
        return self.phase == HOLD and (number * 7919) % 100 >= self.awake_share * 100

    def measured(self, kind: str, name: str, seconds: float, *, what: str = "") -> None:
        """A figure: one of the run's own, and a request of Locust's, where `what` tells several of a kind apart."""
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
        """Locust's word of each request: pages are told from the run's own figures."""
        if request_type in ("GET", "POST"):
            self.pages["failed" if exception else "ok"] += 1

    def meter(self, kind: str, name: str) -> Meter:
        """The same for a figure of which there are thousands a second: a meter to be fed."""

        def tell(second: int, counts: Counter[float]) -> None:
            self.figures.latencies[name].add_all(second, counts)
            if self.report_many is not None:
                self.report_many(kind, name, counts)

        return self._meters.setdefault(name, Meter(tell))

    def flush(self) -> None:
        """Have every meter tell what it holds: before anybody reads the figures."""
        for meter in self._meters.values():
            meter.flush()

    def failed(self, kind: str, name: str, error: Exception) -> None:
        self.report(request_type=kind, name=name, response_time=0, response_length=0, exception=error, context={})

    def delivered(self, event_type: str) -> None:
        self.figures.deliveries[event_type][self.second] += 1

    def heard_of(self, epoch: str, message: Message, now: float) -> None:
        """A message of the stream came here for the first time."""
        message.is_published = True
        self.published(epoch, message.event)
        save = self.save_of(message.event)
        if save is not None and save.sent:
            self.clocks.saved(save.sent, message.stamped, now)

    def published(self, epoch: str, event: dict[str, Any]) -> None:
        """Somebody got this event: from now on it has a name, and its save was heard of."""
        at = (epoch, event["offset"])
        if at not in self.names:
            self.names[at] = f"notification {event['notification_id']} ({event['verb']} {event['title']!r})"
            if event["verb"] == "updated":
                self.heard.add(event["title"])
        self.ends[epoch] = max(self.ends.get(epoch, 0), event["offset"])
        self.furthest = max(self.furthest, event["offset"])

    def save_of(self, event: dict[str, Any]) -> Save | None:
        """The save that an event tells of. Others speak of a document by the title that a save gave it, too."""
        return self.saves.get(event["title"]) if event["verb"] == "updated" else None

    def begin_editing(self, slug: str, user: str) -> None:
        """Others should see this user in the document from now on; not where they never saw the user leave."""
        now = self.clock()
        # A form that is loaded anew, as after a conflict, changes nothing that anybody sees.
        if (slug, user) not in self.editing and now - self.edited_until.get((slug, user), 0.0) > LINGER_SECONDS:
            self.editing[slug, user] = now

    def end_editing(self, slug: str, user: str) -> None:
        self.editing.pop((slug, user), None)
        self.edited_until[slug, user] = self.clock()

    def is_even(self) -> bool:
        """Whether every client has all that is due to it, as far as is known."""
        if self.end is None or self.in_flight:
            return False
        open_stays = [each.stays[-1] for each in self.ledgers if each.stays and each.stays[-1].until is None]
        return all(stay.reached >= self.end[1] for stay in open_stays if stay.epoch == self.end[0])

    def sweep(self) -> None:
        """Settle what is due to pages that were left, and keep their ledgers no longer."""
        for ledger in self.ledgers:
            if ledger.is_closed:
                self.left.take(ledger, {})
        self.ledgers = [ledger for ledger in self.ledgers if not ledger.is_closed]

    def tally(self, ends: Mapping[str, int] | None = None, *, as_it_stands: bool = False) -> Tally:
        """What was due to this process's clients, and what came. `ends`: how far others know that each epoch went."""
        self.sweep()
        known = ends_of(self.ledgers, self.ends, (ends or {}).items(), self.end)
        found = tally(self.ledgers, known, as_it_stands=as_it_stands)
        found.add(self.left)
        return found

    def settle_accounts(self) -> Account:
        """The reconciliation, while everybody is still connected."""
        self.flush()
        self.confirmed.update(mark for mark, save in self.saves.items() if save.confirmed)
        tallies = [self.tally(), *self.parts]
        self.account = together(tallies, names=self.names, confirmed=self.confirmed, heard=self.heard)
        if not self.account.due:
            self.problem = self.problem or "no event was due to anybody: nothing was measured"
        return self.account

    def clock_differences(self) -> Mapping[str, Difference]:
        """By process; this one's has no name."""
        return self.differences or {"": self.clocks.difference}

    @property
    def is_delivery_judged(self) -> bool:
        """Whether every process knows the servers' clock well enough to say how long a delivery took."""
        allowed = self.objectives.delivery_p95_ms / 1000 * CLOCK_SHARE
        return all(each.error <= allowed and each.contradicted <= allowed for each in self.clock_differences().values())

    def disagreements(self) -> int:
        """Clients that show another count than most; all of them, where most show fewer than there are."""
        shown = Counter(self.counts[user] for user in self.online if user in self.counts)
        if not shown:
            return 0
        usual, agreeing = shown.most_common(1)[0]
        return shown.total() if usual < len(self.online) else shown.total() - agreeing

    def values(
        self, *, failed_requests: int, cpu_share: float, lag_ms: float, since: int = 0, until: float = math.inf
    ) -> dict[str, float]:
        """The figures that objectives speak of, by their names; deliveries of the seconds between."""
        found = self.figures.summaries(since=since, until=until)
        whole = self.figures.summaries()
        values: dict[str, float] = {
            "failed_requests": failed_requests,
            "count_disagreements": self.disagreements(),
            "unaccounted_users": sum(map(len, self.unaccounted.values())),
            "generator_cpu_share": cpu_share,
            "generator_lag_ms": lag_ms,
        }
        if figures.DELIVERY in found and self.is_delivery_judged:
            values["delivery_p95_ms"] = found[figures.DELIVERY].p95
            values["delivery_p99_ms"] = found[figures.DELIVERY].p99
        for name, figure in (
            ("handshake_p95_ms", figures.HANDSHAKE),
            ("resume_p95_ms", figures.RESUME),
            ("count_p95_ms", figures.COUNT),
        ):
            if figure in whole:
                values[name] = whole[figure].p95
        return values

    def fault_counts(self) -> dict[Kind, int]:
        return dict(self.account.counts) if self.account else {}
