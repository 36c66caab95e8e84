"""*Fan-out*: published events, the latency of their delivery, and failed deliveries."""

from __future__ import annotations

from deploy.grafana.panels import CONSUMER, NODE, Dashboard, Panel, Row, quantiles

SLOW = f"tidewire_slow_closes_total{{{NODE},{CONSUMER}}}"

FANOUT = Dashboard(
    "tidewire-fanout",
    "tidewire: fan-out",
    "Rates, latency, slow consumers, drops, backlog.",
    (
        Row(
            "Rates",
            (
                Panel(
                    "Published",
                    (
                        (
                            "sum by (topic, result) (rate(tidewire_events_published_total[$__rate_interval]))",
                            "{{topic}} {{result}}",
                        ),
                    ),
                    "By family of topic; `repeated` was there before.",
                    unit="cps",
                ),
                Panel(
                    "Delivered",
                    (
                        (
                            f"sum by (topic) (rate(tidewire_events_delivered_total{{{NODE}}}[$__rate_interval]))",
                            "{{topic}}",
                        ),
                    ),
                    "Events written to sockets.",
                    unit="cps",
                ),
                Panel(
                    "Subscriptions",
                    ((f"sum by (topic) (tidewire_subscriptions{{{NODE}}})", "{{topic}}"),),
                    "How wide a fan-out is.",
                    wide=6,
                ),
                Panel(
                    "Waiting in the outbox",
                    (("max(tidewire_outbox_waiting)", "events"),),
                    "Committed and not published.",
                    wide=6,
                ),
                Panel(
                    "Oldest that waits",
                    (
                        ("max(tidewire_outbox_oldest_seconds)", "in the outbox"),
                        (
                            "time() - max(tidewire_relay_last_poll_timestamp_seconds)",
                            "since the last poll of the relay",
                        ),
                    ),
                    "Alerts: TidewireOutboxStuck, TidewireRelayStuck.",
                    unit="s",
                    wide=6,
                    limit=60,
                ),
                Panel(
                    "The relay",
                    (
                        ("sum(rate(tidewire_relay_published_total[$__rate_interval]))", "published"),
                        (
                            "sum by (reason) (rate(tidewire_relay_failures_total[$__rate_interval]))",
                            "failed: {{reason}}",
                        ),
                    ),
                    "Events that other processes could not publish, and polls that failed.",
                    unit="cps",
                    wide=6,
                ),
            ),
        ),
        Row(
            "Latency",
            (
                Panel(
                    "Publish to socket",
                    quantiles("tidewire_delivery_seconds"),
                    "Until the node's last socket. The objective: p99 of 0.25 s.",
                    unit="s",
                    limit=0.25,
                ),
                Panel(
                    "Publish to socket, how often",
                    ((f"sum by (le) (rate(tidewire_delivery_seconds_bucket{{{NODE}}}[$__rate_interval]))", "{{le}}"),),
                    "The same as a heat map.",
                    unit="s",
                    kind="heatmap",
                ),
                Panel(
                    "Fan-out on the node",
                    quantiles("tidewire_fanout_seconds"),
                    "One event to all sockets of one node.",
                    unit="s",
                ),
                Panel(
                    "Late events",
                    (("tidewire:delivery_late:ratio5m", "5 minutes"), ("tidewire:delivery_late:ratio1h", "1 hour")),
                    "Share over 0.25 s; 0.01 may. Alerts: TidewireDeliveryLateFast, TidewireDeliveryLateSlow.",
                    unit="percentunit",
                    limit=0.01,
                ),
            ),
        ),
        Row(
            "What did not arrive at once",
            (
                Panel(
                    "Slow sockets now",
                    ((f"sum by (instance) (tidewire_slow_connections{{{NODE}}})", "{{instance}}"),),
                    "Over their byte bound. They get the newest state when they have room.",
                ),
                Panel(
                    "Backlog",
                    ((f"sum by (instance) (tidewire_backlog_bytes{{{NODE}}})", "{{instance}}"),),
                    "Bytes that wait in a node for slow sockets.",
                    unit="bytes",
                ),
                Panel(
                    "Slow sockets disconnected",
                    (
                        (
                            f"sum by (consumer) (increase({SLOW}[$__rate_interval]))",
                            "{{consumer}}",
                        ),
                    ),
                    "Alert: TidewireSlowConsumers.",
                ),
                Panel(
                    "Drops",
                    (
                        (
                            f"sum by (reason) (increase(tidewire_dropped_total{{{NODE}}}[$__rate_interval]))",
                            "{{reason}}",
                        ),
                    ),
                    "Any is one too many. Alert: TidewireDropped.",
                ),
                Panel(
                    "Resumes",
                    ((f"sum by (result) (rate(tidewire_resumes_total{{{NODE}}}[$__rate_interval]))", "{{result}}"),),
                    "`lost`: the client read its list again. Alert: TidewireResumeGaps.",
                    unit="cps",
                ),
                Panel(
                    "Reads of history",
                    (
                        (
                            f"sum by (topic) (rate(tidewire_history_reads_total{{{NODE}}}[$__rate_interval]))",
                            "{{topic}}",
                        ),
                    ),
                    "Who came back or missed a hint made a node read.",
                    unit="cps",
                ),
            ),
        ),
    ),
)
