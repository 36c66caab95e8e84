"""*Connected users*: how many, where, since when, and against yesterday. Only the product's own pages show names."""

from __future__ import annotations

from deploy.grafana.panels import CONSUMER, NODE, Dashboard, Panel, Row, quantiles

BOTH = f"{NODE},{CONSUMER}"
REFUSED = "unauthenticated|forbidden|origin"


def _connects(result: str) -> str:
    return f"sum(rate(tidewire_connects_total{{{NODE},result{result}}}[$__rate_interval]))"


def _closes(code: str) -> str:
    return f"sum(rate(tidewire_closes_total{{{BOTH},code{code}}}[$__rate_interval]))"


CONNECTED = Dashboard(
    "tidewire-connected",
    "tidewire: connected users",
    "How many people, where, since when, and compared with yesterday.",
    (
        Row(
            "Now",
            (
                Panel(
                    "People",
                    (
                        ("tidewire:users:max", "now"),
                        ("tidewire:users:max offset 1d", "yesterday at this time"),
                        ("max_over_time(tidewire:users:max[1d])", "most in 24 hours"),
                    ),
                    "Distinct users, however many tabs.",
                    kind="stat",
                    wide=12,
                    high=5,
                ),
                Panel(
                    "Sockets on each node",
                    ((f"sum by (instance) (tidewire_connections{{{BOTH}}})", "{{instance}}"),),
                    "Alerts: TidewireImbalance, TidewireNodeLost.",
                    kind="stat",
                    wide=8,
                    high=5,
                ),
                Panel(
                    "Fullest node",
                    (
                        (
                            "max(sum by (instance) (tidewire_connections) / on (instance) tidewire_connections_limit)",
                            "of its limit",
                        ),
                    ),
                    "Share of the sockets that it takes at most. Alert: TidewireConnectionsNearLimit.",
                    unit="percentunit",
                    limit=0.8,
                    kind="stat",
                    wide=4,
                    high=5,
                ),
            ),
        ),
        Row(
            "Since when",
            (
                Panel(
                    "People, today and yesterday",
                    (("tidewire:users:max", "today"), ("tidewire:users:max offset 1d", "a day before")),
                    "The same hour of both days is above each other. Alert: TidewireSocketsGone.",
                    wide=24,
                ),
                Panel(
                    "Sockets by node",
                    ((f"sum by (instance) (tidewire_connections{{{BOTH}}})", "{{instance}}"),),
                    "Alerts: TidewireImbalance, TidewireNodeLost.",
                    stacked=True,
                    wide=8,
                ),
                Panel(
                    "Sockets by consumer",
                    ((f"sum by (consumer) (tidewire_connections{{{BOTH}}})", "{{consumer}}"),),
                    "The pages that users look at: each opens one of each kind that it needs.",
                    stacked=True,
                    wide=8,
                ),
                Panel(
                    "How long sockets lived",
                    quantiles("tidewire_connection_duration_seconds", matchers=BOTH),
                    "Of those that closed.",
                    unit="s",
                    wide=8,
                ),
            ),
        ),
        Row(
            "Coming and going",
            (
                Panel(
                    "Connects by result",
                    (
                        (_connects('="accepted"'), "accepted"),
                        (_connects(f'=~"{REFUSED}"'), "refused: not logged in, not allowed, another site"),
                        (_connects(f'!~"accepted|{REFUSED}"'), "refused: busy, draining, unavailable"),
                    ),
                    "Alerts: TidewireReconnectStorm, TidewireAuthenticationRefusals.",
                    unit="cps",
                ),
                Panel(
                    "Closes by code",
                    (
                        (_closes('=~"1000|1001|1005"'), "1001 left"),
                        (_closes('="1006"'), "1006 lost"),
                        (_closes('=~"1012|4000"'), "1012, 4000 drained"),
                        (_closes('=~"1013|4001"'), "1013, 4001 slow"),
                        (_closes('=~"1011|4003"'), "1011, 4003 failed"),
                        (_closes('!~"1000|1001|1005|1006|1011|1012|1013|4000|4001|4003"'), "others"),
                    ),
                    "Each code, also while it is 0. Alert: TidewireAbnormalCloses.",
                    unit="cps",
                ),
            ),
        ),
    ),
    hours=24,
)
