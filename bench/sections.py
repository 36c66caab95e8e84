"""The sections of docs/benchmarks.md that show results, one for each measure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bench.compared_servers import Server
from bench.measure_stall import STALLED
from bench.tables import FAULTS, Run, cell, number, table


def fanout(run: Run, plots: Sequence[str]) -> Iterator[str]:
    if not run.servers("fanout"):
        return
    yield "## Fan-out: CPU per delivery"
    yield "Microseconds of server CPU for each event delivered to each client. Single events:"
    yield cost(run, "single")
    yield "Ten events published one after the other without a pause:"
    yield cost(run, "burst")
    yield from _plot("cpu", plots)
    yield "## Fan-out: latency"
    yield "Milliseconds from just before publishing until the client has read the event. Single events:"
    yield latency(run, "single")
    yield "Bursts of ten:"
    yield latency(run, "burst")
    yield from _plot("latency", plots)


def cost(run: Run, mode: str) -> str:
    columns = run.clients("fanout")
    rows = [
        [server.label, *(cell(run.spread("fanout", server.name, "cpu_us", clients=n, mode=mode)) for n in columns)]
        for server in run.servers("fanout")
    ]
    return table([f"{mode}, µs", *(f"{n:,} clients" for n in columns)], rows)


def latency(run: Run, mode: str) -> str:
    columns = run.clients("fanout")

    def cells(server: Server) -> Iterator[str]:
        for clients in columns:
            quantiles = [
                run.median("fanout", server.name, f"latency_ms.{name}", clients=clients, mode=mode)
                for name in ("p50", "p99", "p999")
            ]
            yield " / ".join("-" if value is None else number(value) for value in quantiles)

    rows = [[server.label, *cells(server)] for server in run.servers("fanout")]
    return table([f"{mode}, p50 / p99 / p99.9 ms", *(f"{n:,} clients" for n in columns)], rows)


def faults(run: Run) -> Iterator[str]:
    servers = run.servers("fanout")
    if not servers:
        return
    yield "## Lost, duplicated, reordered"
    yield (
        "Over all rounds of fan-out; events are numbered, and each client accounts for each of them. The generator's "
        "own work, of reading and counting, is listed to show that it is no bottleneck."
    )
    rows = [
        [
            server.label,
            f"{run.total('fanout', server.name, 'deliveries'):,}",
            *(f"{run.total('fanout', server.name, fault):,}" for fault in FAULTS),
            cell(run.spread("fanout", server.name, "generator_us", mode="single")),
            cell(run.spread("fanout", server.name, "redis_cpu_us_per_event")),
        ]
        for server in servers
    ]
    yield table(("", "deliveries", *FAULTS, "generator, µs per delivery", "Redis, µs per event"), rows)


def idle(run: Run, plots: Sequence[str]) -> Iterator[str]:
    servers = run.servers("idle")
    if not servers:
        return
    clients = max(run.clients("idle"))
    yield "## Idle connections"
    yield (
        f"{clients:,} connections. `session`: with the session cookie of a user of its own, read from SQLite; "
        "`ticket`: with a signed ticket beside it, as tidewire's pages set it, or with a signed token of Centrifugo. "
        "Memory, KiB for each connection:"
    )
    for value, scale, before in (
        ("rss_bytes", 1 / 1024, None),
        ("connect_cpu_ms", 1.0, "Server CPU for each connect, milliseconds:"),
        ("idle_us_per_second", 1.0, "Server CPU for each open connection without events, microseconds a second:"),
    ):
        if before:
            yield before
        yield table(
            ("", "bare", "session", "ticket"),
            [
                [
                    server.label,
                    *(
                        cell(run.spread("idle", server.name, value, variant=variant), scale)
                        for variant in ("bare", "session", "ticket")
                    ),
                ]
                for server in servers
            ],
        )
    yield from _plot("connections", plots)


def storm(run: Run) -> Iterator[str]:
    servers = run.servers("storm")
    if not servers:
        return
    yield "## The connect storm"
    yield (
        "Distinct users connect all at once; each changes the count of users, which all of them see. Stock sends the "
        "count to all at each connect, as tutorials do. Consistent: from the first connect until all have the last "
        "count."
    )
    rows = []
    for server in servers:
        for clients in run.clients("storm"):
            records = run.select("storm", server.name, clients=clients)
            if records:
                rows.append(_storm_row(run, server, clients, records))
    yield table(("", "users", "CPU, s", "consistent, s", "deliveries", "refused", "wrong at the end"), rows)


def _storm_row(run: Run, server: Server, clients: int, records: Sequence[dict[str, object]]) -> list[str]:
    settled = cell(run.spread("storm", server.name, "settled_seconds", clients=clients))
    if not all(record["settled"] for record in records):
        settled = f"not after {settled}"
    return [
        server.label,
        f"{clients:,}",
        cell(run.spread("storm", server.name, "cpu_seconds", clients=clients)),
        settled,
        number(run.median("storm", server.name, "deliveries", clients=clients) or 0, 0),
        _worst(records, "refused"),
        _worst(records, "wrong"),
    ]


def _worst(records: Iterable[dict[str, object]], name: str) -> str:
    return f"{max(int(str(record[name])) for record in records):,}"


def stall(run: Run) -> Iterator[str]:
    servers = run.servers("stall")
    if not servers:
        return
    yield "## Stalled readers"
    yield (
        f"1,000 clients and events of 4 KiB; {STALLED} of the clients stop reading after their handshake, or none "
        "does. Growth of the server's RSS at its peak, and the latency of the other clients."
    )
    rows = [
        [
            server.label,
            f"{STALLED} stalled" if variant else "none stalled",
            cell(run.spread("stall", server.name, "events", variant=variant)),
            cell(run.spread("stall", server.name, "rss_peak_growth_bytes", variant=variant), 1 / 2**20),
            cell(run.spread("stall", server.name, "latency_ms.p50", variant=variant)),
            cell(run.spread("stall", server.name, "latency_ms.p99", variant=variant)),
            cell(run.spread("stall", server.name, "stalled_closed", variant=variant)),
        ]
        for server in servers
        for variant in ("", "stalled")
    ]
    yield table(("", "", "events", "growth, MiB", "p50, ms", "p99, ms", "disconnected"), rows)


def failures(run: Run) -> Iterator[str]:
    lines = [f"- {name} was skipped: {reason}" for name, reason in run.skipped.items()]
    lines += [
        f"- {record['server']}, {record['measure']}, {record['clients']:,} clients, round {record['round']}: "
        f"{record['error'].splitlines()[0]}"
        for record in run.errors()
    ]
    if lines:
        yield "## Not measured"
        yield "\n".join(lines)


def _plot(name: str, plots: Sequence[str]) -> Iterator[str]:
    for path in plots:
        if path.endswith(f"/{name}.svg"):
            yield f"![{name}]({path})"
