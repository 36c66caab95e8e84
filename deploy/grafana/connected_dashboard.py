"""*Connected users*: their number, their nodes, and how they come and go. Only the product's own pages show names."""

from __future__ import annotations

from deploy.grafana.panels import CONSUMER, NODE, Dashboard, Panel, Row, quantiles

BOTH = f"{NODE},{CONSUMER}"

CONNECTED = Dashboard(
    "tidewire-connected",
    "tidewire: connected users",
    "Distinct users, sockets by node and consumer, connects and closes, presence by kind of topic.",
    (
        Row(
            "Now",
            (
                Panel(
                    "Users",
                    (("max(tidewire_users)", "users"),),
                    "Distinct users, however many tabs.",
                    kind="stat",
                    wide=6,
                    high=4,
                ),
                Panel(
                    "Sockets",
                    ((f"sum(tidewire_connections{{{BOTH}}})", "sockets"),),
                    "Open now.",
                    kind="stat",
                    wide=6,
                    high=4,
                ),
                Panel("Nodes", (('sum(up{job="ws"})', "nodes"),), "That answer a scrape.", kind="stat", wide=6, high=4),
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
                    wide=6,
                    high=4,
                ),
            ),
        ),
        Row(
            "Sockets",
            (
                Panel(
                    "Users and sockets",
                    (("max(tidewire_users)", "users"), (f"sum(tidewire_connections{{{BOTH}}})", "sockets")),
                    "Both over time.",
                ),
                Panel(
                    "Sockets by node",
                    ((f"sum by (instance) (tidewire_connections{{{BOTH}}})", "{{instance}}"),),
                    "Alerts: TidewireImbalance, TidewireSocketsGone.",
                    stacked=True,
                ),
                Panel(
                    "Sockets by consumer",
                    ((f"sum by (consumer) (tidewire_connections{{{BOTH}}})", "{{consumer}}"),),
                    "Each page opens one of each kind that it needs.",
                    stacked=True,
                ),
                Panel(
                    "Presence by kind of topic",
                    ((f"sum by (topic) (tidewire_presence_members{{{NODE}}})", "{{topic}}"),),
                    "Members of nodes; a member on two nodes counts twice.",
                ),
            ),
        ),
        Row(
            "Coming and going",
            (
                Panel(
                    "Connects by result",
                    (
                        (
                            f"sum by (result) (rate(tidewire_connects_total{{{NODE}}}[$__rate_interval])) > 0",
                            "{{result}}",
                        ),
                    ),
                    "Alerts: TidewireReconnectStorm, TidewireAuthenticationRefusals.",
                    unit="cps",
                ),
                Panel(
                    "Closes by code",
                    ((f"sum by (code) (rate(tidewire_closes_total{{{BOTH}}}[$__rate_interval])) > 0", "{{code}}"),),
                    "1001 left, 1006 lost, 4000 drained, 4001 slow. Alert: TidewireAbnormalCloses.",
                    unit="cps",
                ),
                Panel(
                    "How long sockets lived",
                    quantiles("tidewire_connection_duration_seconds", matchers=BOTH),
                    "Of those that closed.",
                    unit="s",
                ),
                Panel(
                    "Credentials of handshakes",
                    (
                        (
                            f"sum by (credential) (rate(tidewire_authentications_total{{{NODE}}}[$__rate_interval]))",
                            "{{credential}}",
                        ),
                    ),
                    "A ticket costs no query, a session does.",
                    unit="cps",
                ),
            ),
        ),
    ),
)
