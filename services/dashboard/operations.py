"""What staff see of the nodes and may order of them. Look-only, but for the drain of one node."""

import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied

from dashboard.permissions import can_operate
from tidewire.background import background
from tidewire.reports import DRAIN, NodeReport
from tidewire.stores import report_store

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Somebody waits who wants to know whether it worked; Redis answers within this or is away.
PATIENCE_SECONDS = 2.0


class NotListening(Exception):
    """There is no node of that name which could begin a drain."""


def nodes() -> tuple[NodeReport, ...]:
    """All nodes that reported of late. Raises `NoRedis`."""
    return _wait(report_store().read())


def drain_node(user: User, node: str) -> None:
    """Have a node drain. Raises `NotListening`, `PermissionDenied` or `NoRedis`.

    The order is for its present run: a node that was started again under the same name does not obey it.
    """
    if not can_operate(user):
        raise PermissionDenied(f"{user} may not drain a node: only staff may")
    runs = [report.run for report in nodes() if report.node == node and is_listening(report)]
    if not runs:
        raise NotListening(f"no node {node!r} is listening")
    for run in runs:
        _wait(report_store().order(run, DRAIN))
    logger.warning("drain of %s ordered by %s", node, user.get_username())


def is_listening(report: NodeReport) -> bool:
    """Whether a node is well and could drain."""
    return report.state == "listening" and not report.silent


def _wait(work: Coroutine[Any, Any, T]) -> T:
    return background().run(work, seconds=PATIENCE_SECONDS)
