"""Writes supervisord's configuration from the process definitions, and reads its log for processes that ended."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deploy.local.layout import Layout
    from deploy.local.processes import Process

HEAD = """\
[supervisord]
nodaemon = true
silent = true
logfile = {log}/supervisord.log
logfile_maxbytes = 5MB
logfile_backups = 1
pidfile = {run}/supervisord.pid
childlogdir = {log}
{user}
"""
PROGRAM = """
[program:{name}]
command = {command}
environment = {environment}
priority = {priority}
startsecs = 1
startretries = 3
autorestart = true
stopsignal = TERM
stopwaitsecs = {stop_seconds}
; what a killed master leaves behind goes with it
killasgroup = true
redirect_stderr = true
stdout_logfile = {log_twice}/{name}.log
stdout_logfile_maxbytes = 10MB
stdout_logfile_backups = 1
"""
GROUP = """
[group:{group}]
programs = {programs}
priority = {priority}
"""


def configuration(layout: Layout, processes: Sequence[Process], *, root: bool) -> str:
    # Without user=, supervisord warns of running as root, which happens here only if make runs as root.
    parts = [HEAD.format(log=_escaped(layout.log), run=_escaped(layout.run), user="user = root" if root else "")]
    groups: dict[str, list[Process]] = {}
    for each in processes:
        groups.setdefault(each.group, []).append(each)
        parts.append(
            PROGRAM.format(
                name=each.name,
                command=_escaped(shlex.join(each.command)),
                environment=",".join(f'{key}="{_escaped(value)}"' for key, value in each.environment.items()),
                priority=each.priority,
                stop_seconds=each.stop_seconds,
                # supervisord expands the names of these files, and then the result again.
                log_twice=_escaped(_escaped(layout.log)),
            )
        )
    parts += [
        GROUP.format(group=group, programs=",".join(each.name for each in members), priority=members[0].priority)
        for group, members in groups.items()
        if [each.name for each in members] != [group]
    ]
    return "".join(parts)


def _escaped(value: object) -> str:
    # supervisord expands %(name)s everywhere.
    return str(value).replace("%", "%%")


class SupervisorLog:
    """The new lines of supervisord's log since the last call."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_bytes = path.stat().st_size if path.exists() else 0

    def news(self) -> list[tuple[str, str]]:
        """Return (process, "gave up" or "ended") in order of time."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as log:
            # A rotated log starts again.
            log.seek(self._read_bytes if self._path.stat().st_size >= self._read_bytes else 0)
            text = log.read()
            self._read_bytes = log.tell()
        exits = re.findall(rb"gave up: (\S+) entered FATAL|exited: (\S+) \(.*not expected\)", text)
        return [((fatal or ended).decode(), "gave up" if fatal else "ended") for fatal, ended in exits]
