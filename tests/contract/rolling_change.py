"""`python -m tests.contract.rolling_change`: from stock Daphne and channels_redis to tidewire and back, under load.

Two pods serve the chat of a stranger's project over one Redis. Each is replaced in turn: the new one starts, the old
one gets SIGTERM, and its clients connect again. Prints the account of all messages; a lost one is status 1.
"""

import argparse
import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, WebSocketException

from deploy.local.layout import LOOPBACK, ROOT, free_port
from tests import redis_servers
from tests.contract.chat_server import APPLICATION, say
from tests.contract.room_account import GRACE_SECONDS, Account, Message, Socket, account

STOCK, TIDEWIRE = "stock", "tidewire"
# The command and the channel layer of each kind.
COMMANDS = {STOCK: ("daphne", "pubsub"), TIDEWIRE: ("tidewire", "tidewire")}
PODS = 2
ROOMS = 5
START_SECONDS = 60.0
EXIT_SECONDS = 40.0
DRAIN_SECONDS = 2.0


class Pod:
    """A server process of one kind."""

    def __init__(self, kind: str, redis_url: str, log: Path) -> None:
        module, layer = COMMANDS[kind]
        self.kind = kind
        self.port = free_port()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TIDEWIRE_", "DJANGO_"))}
        environment = {
            "PYTHONPATH": f"{ROOT}/src:{ROOT}",
            "CHAT_REDIS": redis_url,
            "CHAT_LAYER": layer,
            "CHAT_TIDEWIRE": json.dumps({"DRAIN_SECONDS": DRAIN_SECONDS}),
        }
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, APPLICATION, "-b", LOOPBACK, "-p", str(self.port)],
                cwd=ROOT,
                env=kept | environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    async def ready(self) -> None:
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                _, writer = await asyncio.open_connection(LOOPBACK, self.port)
            except OSError:
                assert self.process.poll() is None, f"a pod with {self.kind} ended"
                assert time.monotonic() < end, f"a pod with {self.kind} did not start"
                await asyncio.sleep(0.1)
            else:
                writer.close()
                return

    async def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(self.process.wait, EXIT_SECONDS)


class Crowd:
    """Clients that stay in their rooms, connect again to a pod that is in service, and talk in turn."""

    def __init__(self, sockets: int, messages_per_second: float) -> None:
        self.pods: list[Pod] = []
        self.sockets: list[Socket] = []
        self.messages: list[Message] = []
        self._count = sockets
        self._pause = 1 / messages_per_second
        self._open: dict[int, tuple[Socket, ClientConnection]] = {}
        self._changed = asyncio.Condition()
        self._turns = itertools.count()

    async def stay(self) -> None:
        """Run all clients until the task is cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._count):
                group.create_task(self._visit(number))
            self._talking = group.create_task(self._talk())

    async def fall_silent(self) -> None:
        """Send nothing more, and wait for messages that are on their way."""
        self._talking.cancel()
        await asyncio.sleep(GRACE_SECONDS)

    async def complete(self) -> None:
        """Wait until all clients are connected, and then for so long that all that follows is due to them."""
        async with asyncio.timeout(START_SECONDS), self._changed:
            await self._changed.wait_for(lambda: len(self._open) == self._count)
        await asyncio.sleep(GRACE_SECONDS)

    async def _visit(self, number: int) -> None:
        room = f"room{number % ROOMS}"
        while True:
            pod = self.pods[next(self._turns) % len(self.pods)]
            here = f"{LOOPBACK}:{pod.port}"
            try:
                async with connect(
                    f"ws://{here}/ws/chat/{room}/", origin=f"http://{here}", proxy=None, ping_interval=None
                ) as client:
                    socket = Socket(room, pod.kind, time.monotonic())
                    self.sockets.append(socket)
                    self._open[number] = (socket, client)
                    async with self._changed:
                        self._changed.notify_all()
                    try:
                        async for text in client:
                            socket.received.append(json.loads(text)["message"])
                    finally:
                        socket.closed_at = time.monotonic()
                        del self._open[number]
            except (OSError, InvalidHandshake, WebSocketException):
                await asyncio.sleep(0.1)

    async def _talk(self) -> None:
        for number in itertools.count():
            await asyncio.sleep(self._pause)
            if number % self._count not in self._open:
                continue
            socket, client = self._open[number % self._count]
            text = f"message {number}"
            self.messages.append(Message(text, socket.room, socket, number, time.monotonic()))
            try:
                await client.send(say(text))
            except WebSocketException:
                self.messages.pop()


async def rolling_change(*, sockets: int, messages_per_second: float, hold_seconds: float) -> Account:
    """Replace the pods by tidewire's and back, and return the account."""
    crowd = Crowd(sockets, messages_per_second)
    with tempfile.TemporaryDirectory() as directory:
        redis = redis_servers.Server(Path(directory) / "redis")
        redis.start()
        url, log = f"redis://{LOOPBACK}:{redis.port}/0", Path(directory) / "log"
        started: list[Pod] = []

        async def start(kind: str) -> Pod:
            started.append(Pod(kind, url, log))
            await started[-1].ready()
            return started[-1]

        try:
            crowd.pods = [await start(STOCK) for _ in range(PODS)]
            staying = asyncio.create_task(crowd.stay())
            await crowd.complete()
            for kind in (TIDEWIRE, STOCK):
                for place in range(PODS):
                    await asyncio.sleep(hold_seconds)
                    old, crowd.pods[place] = crowd.pods[place], await start(kind)
                    await old.end()
                    await crowd.complete()
            await asyncio.sleep(hold_seconds)
            await crowd.fall_silent()
            result = account(crowd.sockets, crowd.messages)
            staying.cancel()
            await asyncio.gather(staying, return_exceptions=True)
        finally:
            for pod in started:
                pod.process.kill()
                pod.process.wait()
            redis.kill()
    return result


def main() -> int:
    """Run the change and print its account."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sockets", type=int, default=100)
    parser.add_argument("--messages-per-second", type=float, default=40.0)
    parser.add_argument("--hold-seconds", type=float, default=10.0)
    result = asyncio.run(rolling_change(**vars(parser.parse_args())))
    sys.stdout.write("\n".join([*result.lines(), ""]))
    return int(bool(sum(result.lost.values()) or result.doubled or result.reordered))


if __name__ == "__main__":
    sys.exit(main())
