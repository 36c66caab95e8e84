"""The sentences of a report about a run: the sum over all deliveries, and other work on the machine."""

from __future__ import annotations

from loadtest.run.figures import Moment
from loadtest.run.run_state import Run
from testkit.delivery_ledger import Kind

# Any machine has less foreign load than this share of a core.
FOREIGN_CORES = 0.1


def sentences(run: Run, since: int, until: float) -> list[str]:
    judged = [moment for moment in run.figures.moments if since <= moment.second < until] or run.figures.moments
    return [
        *map(str, run.ended_services),
        *_sum(run),
        *_not_judged(run, until),
        *_foreign(judged, are_watched=any(each.services for each in judged)),
    ]


def _sum(run: Run) -> list[str]:
    account = run.accounts.account
    if account is None or not account.offered:
        return []
    named = {kind.value: account.counts.get(kind, 0) for kind in (Kind.LOST, Kind.MISSED, Kind.FORGOTTEN)}
    grace = f"within the grace of {run.accounts.grace_seconds:g} s of a page that was left"
    named |= {grace: account.in_grace, "unread by a client whose code failed": account.unread}
    terms = "".join(f", {count:,} {name}" for name, count in named.items() if count)
    received = account.offered - sum(named.values()) - account.unexplained
    rest = f", {abs(account.unexplained):,} unexplained" if account.unexplained else ""
    return [f"published times audience is {account.offered:,}: {received:,} received once{terms}{rest}"]


def _not_judged(run: Run, until: float) -> list[str]:
    """Return the faults of steps that were not kept."""
    everything, judged = run.fault_counts(), run.fault_counts(until)
    more = {kind: count - judged.get(kind, 0) for kind, count in everything.items() if count > judged.get(kind, 0)}
    counted = ", ".join(f"{count:,} {kind}" for kind, count in more.items())
    return [f"not judged, because their step was not kept: {counted}"] if counted else []


def _foreign(moments: list[Moment], *, are_watched: bool) -> list[str]:
    cores = [moment.foreign for moment in moments if moment.foreign is not None]
    if not cores or (mean := sum(cores) / len(cores)) < FOREIGN_CORES:
        return []
    whose = "neither of the generator nor of the services" if are_watched else "other than the generator"
    return [f"processes {whose} used {mean:.2f} of a core of this machine, {max(cores):.2f} at most"]
