"""The accounts of several processes as plain data, and their merge into one run. Opens no connection.

A process sends its additions every few seconds, so that the accounts of a process that is lost in mid-run remain.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from loadtest.run.figures import Figures
from loadtest.run.run_state import Run
from testkit.delivery_ledger import Kind
from testkit.reconciliation import Fault, Tally

# The numbers of a tally that are sums.
SUMS = (
    *("clients", "due", "arrived", "on_the_way", "in_grace", "unread", "repeats"),
    *("offered", "read", "unexplained"),
)


class ProcessAccounts:
    """The accounts of one process. An increment has additions to values that grow, and the state of others."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._names = 0
        self._announced: set[str] = set()
        self._confirmed: set[str] = set()
        self._second = 0

    def increment(self, ends: Mapping[str, int] | None = None) -> dict[str, Any]:
        """Return all additions since the previous increment.

        `ends` has the last offset of each epoch that any process knows. With `ends`, this is the last increment: all
        events up to there are due. Without it, the run goes on: only the events up to the last one that a client
        received are due to it, and later ones are on their way.

        The reconciliation is done here, beside the ledgers, so that only faults are sent and not all deliveries.
        """
        run = self._run
        run.flush()
        tally = run.accounts.tally(ends, as_it_stands=ends is None, now=run.clock())
        announced = run.accounts.announced - self._announced
        confirmed = {mark for mark, save in run.accounts.saves.items() if save.confirmed} - self._confirmed
        since = self._second
        increment = {
            "account": {
                **{name: getattr(tally, name) for name in SUMS},
                "counts": {kind.value: count for kind, count in tally.counts.items()},
                "seconds": [[kind.value, second, count] for (kind, second), count in tally.seconds.items()],
                "faults": [[f.kind.value, f.event, f.client, f.detail, f.at] for f in tally.faults],
            },
            "names": [[epoch, n, name] for (epoch, n), name in islice(run.accounts.names.items(), self._names, None)],
            "confirmed": sorted(confirmed),
            "announced": sorted(announced),
            "users": sorted(run.users),
            "online": sorted(run.online),
            "counts": dict(run.counts),
            "conflicts": run.accounts.conflicts,
            "problem": run.problem,
            # The last second of the previous increment was not over.
            "latencies": {
                name: [[second, list(counts.items())] for second, counts in each.seconds.items() if second >= since]
                for name, each in run.figures.latencies.items()
            },
            **{
                group: {
                    name: [[second, count] for second, count in counts.items() if second >= since]
                    for name, counts in by_name.items()
                }
                for group, by_name in _counted_by_second(run.figures).items()
            },
            "first_failures": dict(run.figures.failures.first),
            "first_own_faults": dict(run.figures.own_faults.first),
        }
        self._names, self._second = len(run.accounts.names), run.second
        self._announced |= announced
        self._confirmed |= confirmed
        return increment


def joined(accounts: dict[str, Any], increment: dict[str, Any]) -> dict[str, Any]:
    """Return the accounts of a process so far, together with its next increment."""
    if not accounts:
        return increment
    grown = {name: accounts[name] + increment[name] for name in ("names", "confirmed", "announced")}
    # A second that comes again replaces its former values, which were incomplete.
    by_second = {
        kind: {
            name: list({**dict(accounts[kind].get(name, ())), **dict(increment[kind].get(name, ()))}.items())
            for name in accounts[kind].keys() | increment[kind].keys()
        }
        for kind in ("latencies", "deliveries", "failures", "own_faults")
    }
    return {**accounts, **increment, **grown, **by_second}


def add_to_run(run: Run, accounts: dict[str, Any], *, is_whole: bool = True) -> Tally:
    """Add one process's accounts to the run of the process that reports, and return its deliveries.

    Of a lost process the accounts are not whole, because the present state of its users is unknown.
    """
    tally = _tally(accounts["account"])
    run.accounts.parts.append(tally)
    run.accounts.names.update({(epoch, offset): name for epoch, offset, name in accounts["names"]})
    run.accounts.confirmed.update(accounts["confirmed"])
    run.accounts.announced.update(accounts["announced"])
    run.accounts.conflicts += accounts["conflicts"]
    run.problem = run.problem or accounts["problem"]
    if is_whole:
        run.users.update(accounts["users"])
        run.online.update(accounts["online"])
        run.counts.update(accounts["counts"])
    for name, seconds in accounts["latencies"].items():
        for second, counts in seconds:
            run.figures.latencies[name].add_all(second, dict(counts))
    for group, by_name in _counted_by_second(run.figures).items():
        for name, by_second in accounts[group].items():
            _add(by_name[name], by_second)
    for words, first in (
        ("first_failures", run.figures.failures.first),
        ("first_own_faults", run.figures.own_faults.first),
    ):
        first.update({kind: said for kind, said in accounts[words].items() if kind not in first})
    return tally


def _counted_by_second(measured: Figures) -> Mapping[str, defaultdict[str, Counter[int]]]:
    return {
        "deliveries": measured.deliveries,
        "failures": measured.failures.seconds,
        "own_faults": measured.own_faults.seconds,
    }


def _add(counter: dict[int, int], pairs: Iterable[tuple[int, int]]) -> None:
    for second, count in pairs:
        counter[second] = counter.get(second, 0) + count


def _tally(account: dict[str, Any]) -> Tally:
    faults = [
        Fault(Kind(kind), event, client, detail, (at[0], at[1]) if at else None)
        for kind, event, client, detail, at in account["faults"]
    ]
    tally = Tally(**{name: account[name] for name in SUMS})
    tally.counts.update({Kind(kind): count for kind, count in account["counts"].items()})
    tally.seconds.update({(Kind(kind), second): count for kind, second, count in account["seconds"]})
    tally.faults = faults
    return tally
