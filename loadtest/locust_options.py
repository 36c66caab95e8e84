"""The options of a run in Locust: on the command line, as variables of the environment and on Locust's page.

Also the choice of users by tags.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from functools import partial
from typing import Any

from locust import User
from locust.user.task import filter_tasks_by_tags

from loadtest.journeys import weights
from loadtest.journeys.live_user import LiveUser
from loadtest.run.objectives import OBJECTIVES
from loadtest.run.planted_faults import KINDS
from loadtest.run.shapes import SHAPES

# Number of steps of a search without `--step-users`.
DEFAULT_STEPS = 10


def journeys_of(user: type[LiveUser]) -> list[type[LiveUser]]:
    """Return all users with a journey that are derived from this one."""
    every = [each for kind in user.__subclasses__() for each in (kind, *journeys_of(kind))]
    return [each for each in every if not each.abstract]


def add_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("tidewire", "each of them is a variable LOADTEST_... of the environment, too")

    def add(name: str, *, on_page: bool = False, **more: Any) -> None:
        # Locust's parser comes from configargparse, which can read environment variables.
        variable: dict[str, Any] = {"env_var": f"LOADTEST_{name.strip('-').replace('-', '_').upper()}"}
        action: Any = group.add_argument(name, **variable, **more)
        # Locust sets these itself for options that are in no group.
        action.include_in_web_ui = on_page
        action.is_secret = action.is_required = action.is_multiple = False

    add("--hold-seconds", on_page=True, type=float, default=60.0, help="how long all users are held, without -t")
    add("--login-rate", on_page=True, type=float, default=2.0, help="logins a second; nginx allows 2 of one address")
    add("--logins-at-once", type=int, default=2, help="as many as the server has cores to hash on")
    add("--sessions", default="", help="file of users with a session, by `loadtest.create_users --sessions`")
    add("--pace", on_page=True, type=float, default=1.0, help="journeys' pauses are so many times as long as written")
    add(
        "--journeys",
        on_page=True,
        # Still text, as paths are, because Locust's master sends every option to its workers.
        type=partial(weights.known, journeys=journeys_of(LiveUser)),
        default="",
        help="those that the run has, and their weights: Editor=1,ListReader=4; all if none is named",
    )
    add("--objectives", default=str(OBJECTIVES), help="the file a run is judged by")
    add("--result", default="", help="directory of the report; by default, a new one in var/loadtest")
    add("--services-of", type=int, default=0, help="process whose descendants are the services")
    add("--plant", on_page=True, default="", help=f"faults that the run must find, with commas: {', '.join(KINDS)}")
    add("--shape", on_page=True, choices=list(SHAPES), default="ramp", help="how the run goes")
    add("--step-users", on_page=True, type=int, default=0, help="of shape steps: so many more users each time")
    # Not on the page, because a page must not start programs or read files.
    add("--node-command", default="", help="ends ws node {n} and returns once it is back")
    add("--nodes", type=int, default=1, help="how many nodes the command knows")
    add("--sockets-at", default="", help="ws:// or wss:// addresses in place of the page's, by commas")
    add("--ca", default="", help="file of the authority that signed the stack's certificate")
    add("--metrics", default="", help="HOST:PORT where Prometheus is answered")
    add("--title", on_page=True, default="Load test", help="what the report is called")
    add("--print-report", action="store_true", help="also as Markdown, if the files cannot be fetched")


def live_users(users: Iterable[type[User]], options: argparse.Namespace) -> list[type[LiveUser]]:
    """Return the users that have a task with the chosen tags. Locust could not create the others."""
    live = [each for each in users if issubclass(each, LiveUser)]
    if others := [each.__name__ for each in users if not issubclass(each, LiveUser)]:
        raise ValueError(f"{', '.join(others)} must be a subclass of LiveUser, as the accounts need it")
    tags, excluded = (set(chosen) if chosen else None for chosen in (options.tags, options.exclude_tags))
    if tags is None and excluded is None:
        return live
    for each in live:
        filter_tasks_by_tags(each, tags, excluded)
    if not any(each.tasks for each in live):
        raise ValueError("no task is left: see --tags and --exclude-tags")
    return [each for each in live if each.tasks]
