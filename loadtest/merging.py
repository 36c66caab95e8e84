"""The books of several processes as plain data, and how they become one run's. Opens no connection."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from loadtest.accounting import Account, Fault, Kind, reconcile
from loadtest.run import Run


def books(run: Run, ends: dict[str, int]) -> dict[str, Any]:
    """All that one process saw; `ends` is how far each epoch went, as far as any process knows.

    The reconciliation is done where the ledgers are: what travels is what was wrong, and not what came.
    """
    account = reconcile(
        run.ledgers, names=run.names, end=run.end, late_seconds=run.objectives.late_seconds, known_ends=ends
    )
    return {
        "account": {
            "clients": account.clients,
            "due": account.due,
            "arrived": account.arrived,
            "counts": {kind.value: count for kind, count in account.counts.items()},
            "faults": [[f.kind.value, f.event, f.client, f.detail, f.at] for f in account.faults],
        },
        "names": [[epoch, offset, name] for (epoch, offset), name in run.names.items()],
        "confirmed": [mark for mark, save in run.saves.items() if save.confirmed],
        "heard": sorted(run.heard),
        "users": sorted(run.users),
        "online": sorted(run.online),
        "counts": dict(run.counts),
        "conflicts": run.conflicts,
        "problem": run.problem,
        "latencies": {
            name: [[second, list(counts.items())] for second, counts in each.seconds.items()]
            for name, each in run.figures.latencies.items()
        },
        "deliveries": {name: list(found.items()) for name, found in run.figures.deliveries.items()},
    }


def take(run: Run, found: dict[str, Any]) -> None:
    """Add one process's books to the run of the process that reports."""
    run.parts.append(_account(found["account"]))
    run.names.update({(epoch, offset): name for epoch, offset, name in found["names"]})
    run.confirmed.update(found["confirmed"])
    run.heard.update(found["heard"])
    run.users.update(found["users"])
    run.online.update(found["online"])
    run.counts.update(found["counts"])
    run.conflicts += found["conflicts"]
    run.problem = run.problem or found["problem"]
    for name, seconds in found["latencies"].items():
        for second, counts in seconds:
            for value, times in counts:
                run.figures.latencies[name].add(second, value, times)
    for name, by_second in found["deliveries"].items():
        _add(run.figures.deliveries[name], by_second)


def _add(counter: dict[int, int], pairs: Iterable[tuple[int, int]]) -> None:
    for second, count in pairs:
        counter[second] = counter.get(second, 0) + count


def _account(found: dict[str, Any]) -> Account:
    faults = [
        Fault(Kind(kind), event, client, detail, (at[0], at[1]) if at else None)
        for kind, event, client, detail, at in found["faults"]
    ]
    counts = {Kind(kind): count for kind, count in found["counts"].items()}
    return Account(found["clients"], found["due"], found["arrived"], 0, counts, tuple(faults))
