"""Redis servers that lose acknowledged writes, each in its own way."""

from tests.redis_servers import Address, Server


class Fault:
    """Redis servers behind one address. `lose` returns to the state at the time of `remember`."""

    def __init__(self, tmp_path) -> None:
        self.path = tmp_path
        self.servers: list[Server] = []
        self.address: Address | None = None

    def server(self, name: str, *options: str) -> Server:
        new_server = Server(self.path / name, *options)
        self.servers.append(new_server)
        new_server.start()
        return new_server

    def begin(self) -> Address:
        self.primary = self.server("a", *self.options())
        self.address = Address(self.primary.port)
        return self.address

    def options(self) -> tuple[str, ...]:
        return ()

    def remember(self) -> None: ...

    def lose(self) -> None: ...

    def close(self) -> None:
        for server in self.servers:
            server.client.close()
            server.kill()


class LaggingReplica(Fault):
    """A failover to a replica that had not received all writes."""

    def begin(self) -> Address:
        address = super().begin()
        self.replica = self.server("b")
        return address

    def remember(self) -> None:
        self.replica.follow(self.primary)
        self.replica.lag()

    def lose(self) -> None:
        self.primary.kill()
        self.replica.promote()
        self.address.port = self.replica.port


class OlderSnapshot(Fault):
    """Redis crashes and restarts with a snapshot that is a moment old, well within the lease."""

    def remember(self) -> None:
        self.primary.client.save()

    def lose(self) -> None:
        self.primary.kill()
        self.primary.start()


class Empty(Fault):
    """Redis crashes and restarts without data."""

    def lose(self) -> None:
        self.primary.kill()
        self.primary.start()


class Flushed(Fault):
    """FLUSHALL, after which every connection stays open."""

    def lose(self) -> None:
        self.primary.client.flushall()


class TruncatedLog(Fault):
    """An append-only file of which the last second never reached the disk."""

    def options(self) -> tuple[str, ...]:
        return ("--appendonly", "yes", "--appendfsync", "no")

    def remember(self) -> None:
        self.primary.client.set("marker", "x")
        self.primary.until(lambda: bool(self._log().stat().st_size))
        self.kept_bytes = self._log().stat().st_size

    def lose(self) -> None:
        self.primary.kill()
        with self._log().open("r+b") as log:
            log.truncate(self.kept_bytes)
        self.primary.start()

    def _log(self):
        [log] = self.primary.directory.glob("appendonlydir/*.incr.aof")
        return log


class ThereAndBack(Fault):
    """The address leads to another Redis, without data, and then back to the first, which was idle meanwhile."""

    def remember(self) -> None:
        self.other = self.server("b")
        self.address.port = self.other.port
        self.address.abort()

    def lose(self) -> None:
        self.address.port = self.primary.port
        self.address.abort()


class Unrelated(Fault):
    """The address leads to a Redis that other nodes of the same name used long ago."""

    def lose(self) -> None:
        other = self.server("b")
        other.client.zadd("tidewire:nodes", {"a": 9e12, "b": 9e12})
        self.address.port = other.port
        self.address.abort()
