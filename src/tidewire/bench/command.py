"""`tidewire bench project.asgi:application /ws/path/`: the server of before and tidewire's, in interleaved rounds."""

from __future__ import annotations

import argparse
import asyncio
import re
import resource
import shlex
import signal
import sys
import time
from collections.abc import Coroutine, Sequence
from typing import Any, NoReturn

from tidewire.bench.errors import CannotMeasure
from tidewire.bench.measurement import Load, Measured, measure
from tidewire.bench.server_process import HOST, PORT
from tidewire.bench.table import Rounds, step, table

PYTHON = shlex.quote(sys.executable)
# Open files of this process besides its sockets.
_OTHER_FILES = 64
_DESCRIPTION = """\
Measure the consumers of a project on the server that it has and on tidewire's: CPU per frame, latency, memory per
socket, and frames that were lost, doubled or out of order. Each round starts both servers and opens the sockets, which
send messages in turn; the next message follows when all sockets have received it. The servers use the project's own
settings, so that its consumers may write to its database and its channel layer: choose those of development."""
_EPILOG = """\
examples:
  tidewire bench project.asgi:application /ws/chat/room/
  tidewire bench project.asgi:application /ws/room/ --send '{"type": "chat", "text": "{number}"}' --sockets 1000
  tidewire bench project.asgi:application /ws/room/ --before 'uvicorn project.asgi:application --port {port}'
  tidewire bench project.asgi:application /ws/inbox/ --header 'Cookie: sessionid=...'"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Answer wrong input in one line: the usage would hide it."""
        self.exit(2, f"tidewire bench: {message}\n")


def main(arguments: Sequence[str]) -> int:
    """Measure and print the table. Returns the exit status: 0 if tidewire's server had no fault."""
    options = _parser().parse_args(arguments)
    commands = {"before": options.before or _daphne(options.application), "after": _tidewire(options.application)}
    load = Load(
        path=options.path,
        sockets=options.sockets,
        messages=options.messages,
        message=options.send,
        on_open=options.on_open,
        headers=dict(options.header),
    )
    try:
        _allow_open_files(load.sockets + _OTHER_FILES)
        rounds = _measure(commands, load, options.rounds)
    except CannotMeasure as error:
        sys.stderr.write(f"tidewire bench: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("tidewire bench: interrupted\n")
        return 130
    lines = [f"{name}: {command}" for name, command in commands.items()]
    sys.stdout.write("\n".join(["", *lines, "", table(rounds, load), ""]))
    faults = [each.faults for each in rounds["after"]]
    return int(any(each.lost or each.doubled or each.reordered for each in faults))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="tidewire bench",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("application", type=_application, help="such as project.asgi:application")
    parser.add_argument("path", type=_path, help="of the websocket, such as /ws/chat/room/")
    parser.add_argument(
        "--before", type=_command, metavar="COMMAND", help="starts your present server on {port} (default: daphne)"
    )
    parser.add_argument(
        "--send",
        metavar="TEXT",
        default='{"message": "{number}"}',
        help="a message; {number} is its number (%(default)s)",
    )
    parser.add_argument("--on-open", metavar="TEXT", default="", help="sent once by each socket after its handshake")
    parser.add_argument(
        "--header", type=_header, metavar="LINE", action="append", default=[], help="of handshakes, such as a cookie"
    )
    parser.add_argument("--sockets", type=_count, metavar="N", default=300, help="default: %(default)s")
    parser.add_argument("--messages", type=_count, metavar="N", default=40, help="in a round (default: %(default)s)")
    parser.add_argument("--rounds", type=_count, metavar="N", default=3, help="default: %(default)s")
    return parser


def _measure(commands: dict[str, str], load: Load, count: int) -> Rounds:
    rounds: Rounds = {name: [] for name in commands}
    audience: frozenset[int] = frozenset()
    steps, done, began = count * len(commands), 0, time.monotonic()
    for number in range(count):
        for name, command in commands.items():
            left = f", about {(time.monotonic() - began) / done * (steps - done):.0f} s left" if done else ""
            sys.stderr.write(f"[{done + 1}/{steps}] round {number + 1}, {name}{left}: ")
            sys.stderr.flush()
            measured = _measured(name, command, load, audience)
            sys.stderr.write(f"{step(measured)}\n")
            rounds[name].append(measured)
            audience |= measured.audience
            done += 1
    return rounds


def _measured(name: str, command: str, load: Load, audience: frozenset[int]) -> Measured:
    try:
        return asyncio.run(_until_terminated(measure(command, load, audience)))
    except CannotMeasure as error:
        sys.stderr.write("failed\n")
        raise CannotMeasure(f"{name}: {error}") from None
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


async def _until_terminated(measuring: Coroutine[Any, Any, Measured]) -> Measured:
    """Handle SIGTERM as asyncio handles Ctrl-C: the server, in a process group of its own, ends with this process."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await measuring


def _daphne(application: str) -> str:
    return f"{PYTHON} -m daphne --verbosity 0 -b {HOST} -p {PORT} {shlex.quote(application)}"


def _tidewire(application: str) -> str:
    return f"{PYTHON} -m tidewire -b {HOST} -p {PORT} {shlex.quote(application)}"


def _allow_open_files(wanted: int) -> None:
    """Raise the limit for this process and the servers. Raises `CannotMeasure` if the system refuses."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            raise CannotMeasure(f"this shell may open {hard} files, and the sockets need {wanted}: fewer --sockets")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _application(text: str) -> str:
    if not re.fullmatch(r"[\w.]+:[\w.]+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no application: name it as project.asgi:application")
    return text


def _path(text: str) -> str:
    if not text.startswith("/"):
        raise argparse.ArgumentTypeError(f"{text!r} is no path: it begins with /, as in /ws/chat/room/")
    return text


def _command(text: str) -> str:
    if PORT not in text:
        raise argparse.ArgumentTypeError(f"{text!r} has no {PORT}, which is replaced by the port to listen on")
    try:
        shlex.split(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no command: {error}") from None
    return text


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not re.fullmatch(r"[\w-]+", name) or not value.strip().isprintable():
        raise argparse.ArgumentTypeError(f"{text!r} is no header: write it as 'Cookie: sessionid=...'")
    return name, value.strip()


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return int(text)
