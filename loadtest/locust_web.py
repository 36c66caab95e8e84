"""The report on Locust's page, and the result of a run that goes on."""

from __future__ import annotations

import copy
import dataclasses
import logging
from collections.abc import Callable, Sequence
from typing import Any

from locust.env import Environment
from locust.web import WebUI

from loadtest.report.html_report import html_page
from loadtest.report.result import Result
from loadtest.run import process_accounts
from loadtest.run.figures import Figures
from loadtest.run.run_state import Run
from testkit.reconciliation import merged

logger = logging.getLogger(__name__)
PATH = "/deliveries"


def add_report(web_ui: WebUI, result: Callable[[], Result]) -> None:
    """Serve the report at PATH, with the login of Locust's page if it has one."""

    def report() -> str:
        return html_page(result())

    assert web_ui.app is not None
    shown = web_ui.auth_required_if_enabled(report)  # type: ignore[no-untyped-call] # Locust has no types
    web_ui.app.add_url_rule(PATH, "tidewire_report", shown)
    logger.info("the report, while a test runs and afterwards, is at %s of Locust's page", PATH)


def so_far(run: Run, environment: Environment, workers: Sequence[dict[str, Any]]) -> Result:
    """Return the result of a run that goes on, with the accounts that workers have sent.

    Events that are not late yet are on their way. Saves that no event has announced yet count as saves in progress.
    """
    run.flush()
    view = copy.copy(run)
    view.accounts = dataclasses.replace(
        run.accounts, parts=[], names=dict(run.accounts.names), confirmed=set(), announced=set()
    )
    tallies = [run.accounts.tally(as_it_stands=True, now=run.clock())]
    if workers:
        moments = run.figures.moments
        view.figures = Figures()
        view.figures.moments = moments
        # Of this process, which has no users, but may have failed too.
        view.figures.own_faults = copy.deepcopy(run.figures.own_faults)
        view.users, view.online, view.counts = set(run.users), set(run.online), dict(run.counts)
        tallies += [process_accounts.add_to_run(view, each) for each in workers]
    names = {**view.accounts.names, **dict(run.accounts.rooms.published)}
    view.accounts.account = merged(tallies, names=names)
    return Result.of(view, environment)
