"""Daphne's server with tidewire's protocol, an admin port, and a SIGTERM that drains.

`tidewire.server.daphne` must be imported first, because Daphne creates its event loop at import.
"""

import asyncio
import itertools
import logging
import math
import re
import signal
import sys
from collections.abc import Sequence
from typing import Any

from daphne.server import Server
from django.core.exceptions import ImproperlyConfigured
from twisted.internet import reactor
from twisted.internet.error import CannotListenError
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    STDLibLogObserver,
    globalLogPublisher,
)

from tidewire import metrics
from tidewire.asgi import size_of
from tidewire.conf import server_settings, settings
from tidewire.fanout.connection import attempt
from tidewire.layers import require_layer
from tidewire.redis.clients import require_version
from tidewire.server import handshake, open_files
from tidewire.server.admin_port import listen as listen_admin
from tidewire.server.all_sockets import AllSockets
from tidewire.server.consumer_loop import has_live_consumers
from tidewire.server.current_node import node, on_start, running_node
from tidewire.server.drain import Drainer
from tidewire.server.foreign_sockets import ForeignSockets
from tidewire.server.garbage_collection import freeze_startup_objects
from tidewire.server.inbound import InboundLimits
from tidewire.server.node import Node
from tidewire.server.protocol import DirectProtocol, create_protocol_class, limit_read_size
from tidewire.server.watchdog import EndOfHang, Watchdog

logger = logging.getLogger(__name__)

# A storm of reconnects must fit into the kernel's queue; Twisted's default is 50.
LISTEN_BACKLOG = 4096
# Time after the drain in which presence must be handed over before the process exits without it.
DRAIN_MARGIN_SECONDS = 5.0
# nginx's timeout for a page. Daphne has no deadline for an answer, nor has this server unless requests are limited.
REQUEST_SECONDS = 30
# Daphne checks all its sockets every two seconds, in one go; tidewire does so in twenty parts.
CHECK_ALL_SECONDS = 2.0
CHECK_SECONDS = 0.1


class TidewireServer(Server):
    """Serves an ASGI application as Daphne does; all differences are in this class.

    `admin` is the address of the admin port, `protocol` the class of its sockets.
    """

    def __init__(
        self,
        application: Any,
        endpoints: Sequence[str] = (),
        *,
        admin: tuple[str | None, int | None] = (None, None),
        protocol: type[DirectProtocol] = DirectProtocol,
        **options: Any,
    ) -> None:
        # Checked first, so that a project gets an error before the server has started anything.
        limits = server_settings()
        self._admin_address = (admin[0] or limits.ADMIN_HOST, limits.ADMIN_PORT if admin[1] is None else admin[1])
        if has_live_consumers():
            require_layer(settings().CHANNEL_LAYER)
            open_files.reserve(connections=limits.CONNECTIONS_PER_NODE, handshakes=limits.HANDSHAKES_PER_NODE)
        else:
            open_files.reserve_all()
        if limits.LIMIT_REQUESTS and options.get("http_timeout") is None:
            options["http_timeout"] = REQUEST_SECONDS
        options["signal_handlers"] = False
        super().__init__(application, [_with_backlog(endpoint) for endpoint in endpoints], **options)
        if self.ping_interval >= limits.PROXY_READ_SECONDS:
            logger.warning(
                "tidewire.W018: pings are sent every %s s, but a proxy ends an idle connection after %s s "
                "(PROXY_READ_SECONDS): give a shorter --ping-interval, or the proxy a longer timeout",
                self.ping_interval,
                limits.PROXY_READ_SECONDS,
            )
        self._protocol = protocol
        self._ports: list[Any] = []
        self._drainer: Drainer | None = None
        self.foreign = ForeignSockets(limit_bytes=limits.MAX_BACKLOG_BYTES, slow_seconds=limits.SLOW_CONSUMER_SECONDS)
        self._watchdog: Watchdog | None = None
        self._end_of_hang = EndOfHang()
        self._task: asyncio.Future[None] | None = None
        # Sockets without an application, which has returned, longest unchecked first.
        self._detached: dict[Any, None] = {}
        self._inbound_limits = InboundLimits(
            message_bytes=limits.MAX_MESSAGE_BYTES,
            frames_per_second=limits.FRAMES_PER_SECOND,
            handshakes=limits.HANDSHAKES_PER_NODE if limits.LIMIT_REQUESTS else None,
        )

    def run(self) -> None:
        reactor.callWhenRunning(self._started)
        super().run()

    def listen_success(self, port: Any) -> None:
        super().listen_success(port)
        self._ports.append(port)

    def listen_error(self, failure: Any) -> None:
        self._fail(f"{failure.getErrorMessage()} Give another port with --port, or end the process that has this one.")

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Any:
        if scope["type"] != "websocket":
            return super().create_application(protocol, scope)
        scope["extensions"] = {"tidewire.writer": protocol}
        protocol.foreign = socket = self.foreign.add(protocol)
        queue = super().create_application(protocol, scope)
        instance = self.connections.get(protocol, {}).get("application_instance")
        if instance is None:
            self.foreign.application_ended(socket)
        else:
            socket.tasks = (instance, *socket.tasks)
            instance.add_done_callback(lambda _ended: self.foreign.application_ended(socket))
        return queue

    def detached(self, protocol: Any) -> None:
        """Keep the socket open without an application, and without Daphne's check of it every second."""
        if "disconnected" in self.connections[protocol]:
            # The client disconnected during the handshake, and Daphne's check removes it.
            return
        del self.connections[protocol]
        self._detached[protocol] = None

    def protocol_disconnected(self, protocol: Any) -> None:
        if protocol in self._detached:
            del self._detached[protocol]
        else:
            super().protocol_disconnected(protocol)

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        if protocol in self._detached:
            protocol.handle_reply(message)
            return
        if message["type"] == "websocket.send" and protocol.foreign is not None:
            size = size_of(message)
            if not self.foreign.has_room(protocol.foreign, size) and not await self.foreign.wait_for_room(
                protocol.foreign, size
            ):
                return
        await super().handle_reply(protocol, message)

    def timeout_checker(self) -> None:
        """Daphne's method for a share of the open sockets at a time, so that their pings are spread over time."""
        for checked in (self.connections, self._detached):
            share = math.ceil(len(checked) * CHECK_SECONDS / CHECK_ALL_SECONDS)
            for protocol in list(itertools.islice(checked, share)):
                # The last in the order from now on.
                checked[protocol] = checked.pop(protocol)
                # The failure of one must not prevent the pings of the others.
                attempt(protocol.check_timeouts)
        seconds = CHECK_SECONDS if self.connections or self._detached else CHECK_ALL_SECONDS
        reactor.callLater(seconds, self.timeout_checker)  # type: ignore[arg-type]  # the stub takes it for a method's

    def application_checker(self) -> None:
        """Daphne's method, called once a second; it also resets the count of frames."""
        self._inbound_limits.frames.clear()
        try:
            super().application_checker()
        except Exception:
            logger.exception("the check of applications failed; it will run again")
            reactor.callLater(1, self.application_checker)  # type: ignore[arg-type]  # the stub takes it for a method's

    def kill_all_applications(self) -> Any:
        # Daphne's method raises KeyError for a connection if its application has ended or has not started.
        for details in self.connections.values():
            details.setdefault("application_instance", asyncio.get_running_loop().create_future())
        return super().kill_all_applications()

    async def stop_listening(self) -> None:
        """Refuse new connections from now on; a proxy tries the next node if a port is closed."""
        if self._watchdog is not None:
            self._watchdog.stop()
        ports, self._ports = self._ports, []
        for port in ports:
            stopped = port.stopListening()
            if stopped is not None:
                await stopped.asFuture(asyncio.get_running_loop())

    def _started(self) -> None:
        try:
            self._prepare()
        except Exception as error:
            logger.exception("a step of the start failed")
            self._fail(f"{type(error).__name__}: {error}")
            return
        self._task = asyncio.ensure_future(self._start())

    def _prepare(self) -> None:
        # Daphne discards Twisted's own log, including all exceptions in a protocol. Any: mypy cannot resolve the
        # interfaces that Twisted's classes implement.
        errors: Any = LogLevelFilterPredicate(defaultLogLevel=LogLevel.error)
        stdlib_observer: Any = STDLibLogObserver("twisted")
        observer: Any = FilteringLogObserver(stdlib_observer, [errors])
        globalLogPublisher.addObserver(observer)
        freeze_startup_objects()
        limit_read_size()
        self.ws_factory.protocol = create_protocol_class(self.ws_factory, self._inbound_limits, self._protocol)
        limits = server_settings()
        if limits.LIMIT_REQUESTS:
            handshake.limit_requests(
                self.http_factory,
                seconds=limits.HANDSHAKE_SECONDS,
                limit=limits.HANDSHAKES_PER_NODE,
                request_bytes=limits.MAX_REQUEST_BYTES,
            )

    async def _start(self) -> None:
        """Start all parts that sockets depend on. The server must not serve without one of them."""
        limits = server_settings()
        host, port = self._admin_address
        try:
            self._handle_signals()
            metrics.DRAIN_LIMIT_SECONDS.set(limits.DRAIN_SECONDS + DRAIN_MARGIN_SECONDS)
            self._drainer = self._create_drainer()
            if port:
                listen_admin(
                    host,
                    port,
                    self._drainer,
                    self._on_signal,
                    measure=_update_metrics,
                    reached_redis=_reached_redis,
                )
            on_start(self._serve_node)
            if has_live_consumers():
                node()
                await require_version()
        except CannotListenError as error:
            self._fail(
                f"the admin port {host}:{port} cannot be had: {error.socketError}. Give each process of this host an "
                "ADMIN_PORT of its own (--admin-port, TIDEWIRE_ADMIN_PORT)."
            )
        except ImproperlyConfigured as error:
            self._fail(str(error))
        except Exception as error:
            logger.exception("a step of the start failed")
            self._fail(f"{type(error).__name__}: {error}")

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)

    def _create_drainer(self) -> Drainer:
        return Drainer(AllSockets(self.foreign, server_settings()), stop_listening=self.stop_listening)

    def _fail(self, reason: str) -> None:
        """End the process with an exit code other than 0: the command line checks `abort_start`."""
        # Not logged: a project's LOGGING may send it elsewhere, or nowhere.
        print(f"tidewire did not start: {reason}", file=sys.stderr)  # noqa: T201
        self.abort_start = True
        self.stop()

    def _serve_node(self, started: Node) -> None:
        """Let a node that has started use this server's drain. A server without a node costs nothing while idle."""
        assert self._drainer is not None
        started.serve(self._drainer, self._on_signal)
        self._supervise()

    def _supervise(self) -> None:
        """Let a process beside this one watch the listener, and end this process if its loop hangs."""
        if self._watchdog is None:
            self._watch()

    def _watch(self) -> None:
        # A port chosen by the kernel would change when listening again; sockets of other kinds may be shared.
        if sys.platform == "linux" and all(_has_number(endpoint) for endpoint in self.endpoints):
            self._watchdog = Watchdog(self._ports, otherwise=self._end_of_hang.postpone)
            self._watchdog.start()
        else:
            self._end_of_hang.postpone()

    def _on_signal(self) -> None:
        if self._drainer is None:
            # The server is still starting.
            self.stop()
        elif self._drainer.draining:
            logger.warning("second signal: all remaining sockets are closed now")
            self._drainer.close_now()
        else:
            self._task = asyncio.ensure_future(self._drain_and_stop())

    async def _drain_and_stop(self) -> None:
        assert self._drainer is not None
        seconds = server_settings().DRAIN_SECONDS + DRAIN_MARGIN_SECONDS
        try:
            await asyncio.wait_for(self._drainer.drain(), seconds)
            if (this_node := running_node()) is not None:
                await this_node.finish()
        except TimeoutError:
            logger.critical("the drain did not end in time; the sockets that are left are dropped")
        except Exception:
            logger.exception("the drain failed; the sockets that are left are dropped")
            self.abort_start = True
        finally:
            if self._watchdog is not None:
                self._watchdog.stop()
            self._end_of_hang.stop()
            self.stop()


def _update_metrics() -> None:
    if (this_node := running_node()) is not None:
        this_node.update_metrics()


def _reached_redis() -> bool:
    """Return whether Redis has answered, if a node needs it."""
    this_node = running_node()
    return this_node is None or this_node.reached_redis


def _with_backlog(endpoint: str) -> str:
    if endpoint.startswith("tcp:") and "backlog=" not in endpoint:
        return f"{endpoint}:backlog={LISTEN_BACKLOG}"
    return endpoint


def _has_number(endpoint: str) -> bool:
    return re.match(r"tcp:(port=)?[1-9]", endpoint) is not None
