"""The staff's view of the nodes. Read-only, except for the drain of one node."""

import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied

from dashboard.permissions import can_operate
from tidewire.contrib.operations.reports import DRAIN, NodeReport, report_store
from tidewire.publishing.background import background

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Redis must answer within this, because a staff member waits for the result of the command.
TIMEOUT_SECONDS = 2.0


class NotListening(Exception):
    """There is no node with this name that could begin a drain."""


def nodes() -> tuple[NodeReport, ...]:
    """Return the nodes with a recent report. Raises `RedisUnavailable`."""
    return _wait(report_store().read())


def drain_node(user: User, node: str) -> None:
    """Order a node to drain. Raises `NotListening`, `PermissionDenied` or `RedisUnavailable`.

    The command is for the node's current run: a node that restarts under the same name must not carry it out.
    """
    if not can_operate(user):
        raise PermissionDenied(f"user {user.pk} may not drain a node: only staff may")
    runs = [report.run for report in nodes() if report.node == node and is_listening(report)]
    if not runs:
        raise NotListening(f"no node {node!r} is listening")
    for run in runs:
        _wait(report_store().send_command(run, DRAIN))
    logger.warning("drain of %s requested by user %s", node, user.pk)


def is_listening(report: NodeReport) -> bool:
    """Return whether a node is healthy and can drain."""
    return report.state == "listening" and not report.silent


def _wait(work: Coroutine[Any, Any, T]) -> T:
    return background().run(work, seconds=TIMEOUT_SECONDS)
