"""The report on Locust's page: as it stands while a test runs, and of the last test afterwards."""

from __future__ import annotations

import copy
import dataclasses
import logging
from typing import TYPE_CHECKING, Any

from locust.web import WebUI

from loadtest.report.html_report import html_page
from loadtest.report.result import Result
from loadtest.run import process_accounts
from loadtest.run.figures import Figures
from loadtest.run.run_state import Run
from testkit.reconciliation import Tally, merged

if TYPE_CHECKING:
    from loadtest.locust_run import LocustRun

logger = logging.getLogger(__name__)
PATH = "/deliveries"


def add_report(wired: LocustRun, web_ui: WebUI) -> None:
    """Serve the report at PATH, to those that may see Locust's page."""

    def report() -> str:
        return html_page(so_far(wired))

    assert web_ui.app is not None
    shown = web_ui.auth_required_if_enabled(report)  # type: ignore[no-untyped-call] # Locust has no types
    web_ui.app.add_url_rule(PATH, "tidewire_report", shown)
    logger.info("the report, while a test runs and afterwards, is at %s of Locust's page", PATH)


def so_far(wired: LocustRun) -> Result:
    """Return the result of the present run. In mid-run, events that are not late yet are on their way."""
    run = wired.run
    if run.accounts.account is not None:
        return Result.of(run, wired.environment)
    run.flush()
    view = copy.copy(run)
    view.accounts = dataclasses.replace(
        run.accounts, parts=[], names=dict(run.accounts.names), confirmed=set(), announced=set()
    )
    tallies = [run.accounts.tally(as_it_stands=True)]
    if wired.workers is not None:
        tallies += _of_workers(view, wired.workers.accounts_so_far())
    names = {**view.accounts.names, **dict(run.accounts.rooms.published)}
    view.accounts.account = merged(tallies, names=names)
    result = Result.of(view, wired.environment)
    return dataclasses.replace(result, title=f"{result.title}, {run.phase}, {run.second} s so far")


def _of_workers(view: Run, accounts: list[dict[str, Any]]) -> list[Tally]:
    """Add the figures that workers have sent to the view, and return their deliveries."""
    view.figures, moments = Figures(), view.figures.moments
    view.figures.moments = moments
    view.users, view.online, view.counts = set(view.users), set(view.online), dict(view.counts)
    return [process_accounts.add_to_run(view, each) for each in accounts]
