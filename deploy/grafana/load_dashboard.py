"""*Load test*: a run as its clients see it, beside the servers under load."""

from __future__ import annotations

from deploy.grafana.panels import NODE, Dashboard, Panel, Row, quantiles

DELIVERY = 'figure="delivery"'

LOAD = Dashboard(
    "tidewire-load",
    "tidewire: load test",
    "A run's users, latencies, faults and its generator, beside the servers.",
    (
        Row(
            "The load",
            (
                Panel(
                    "Phase",
                    (("max by (phase) (tidewire_load_phase) == 1", "{{phase}}"),),
                    "Of the run. Nothing: there is none.",
                    kind="stat",
                    wide=6,
                ),
                Panel(
                    "Users and sockets",
                    (
                        ("sum(tidewire_load_users)", "users"),
                        ("sum(tidewire_load_sockets)", "sockets, as clients count"),
                        (f"sum(tidewire_connections{{{NODE}}})", "sockets, as nodes count"),
                    ),
                    "Apart for longer than a moment: a proxy or a node holds sockets that have gone.",
                    wide=9,
                ),
                Panel(
                    "Messages",
                    (
                        (
                            "sum by (event_type) (rate(tidewire_load_received_total[$__rate_interval]))",
                            "{{event_type}}, received",
                        ),
                        (f"sum(rate(tidewire_events_delivered_total{{{NODE}}}[$__rate_interval]))", "all, written"),
                    ),
                    "What clients got, and what nodes wrote.",
                    unit="cps",
                    wide=9,
                ),
            ),
        ),
        Row(
            "Latency",
            (
                Panel(
                    "Delivery, as clients see it",
                    quantiles("tidewire_load_seconds", matchers=DELIVERY),
                    "From the event's own time to the client's hand. The objective: p95 of 0.25 s.",
                    unit="s",
                ),
                Panel(
                    "Delivery, as nodes see it",
                    quantiles("tidewire_delivery_seconds"),
                    "Until a node's last socket was written. What clients see beyond it is network, or the generator.",
                    unit="s",
                ),
                Panel(
                    "p95 of every figure",
                    quantiles("tidewire_load_seconds", "figure", matchers='figure!=""')[1:2],
                    "Handshakes, resumes, counts and the rest.",
                    unit="s",
                ),
                Panel(
                    "Pages",
                    (("sum by (result) (rate(tidewire_load_requests_total[$__rate_interval]))", "{{result}}"),),
                    "That journeys asked for.",
                    unit="reqps",
                ),
            ),
        ),
        Row(
            "Every event accounted for",
            (
                Panel(
                    "Faults so far",
                    (("sum by (kind) (tidewire_load_faults)", "{{kind}}"),),
                    "Anything but 0 fails the run, and its report names each.",
                ),
                Panel(
                    "Due and come",
                    (
                        ("sum(tidewire_load_deliveries_due)", "due"),
                        ("sum(tidewire_load_deliveries)", "came"),
                        ("sum(tidewire_load_deliveries_on_the_way)", "on the way"),
                    ),
                    "On the way: some client has it, others do not yet.",
                ),
            ),
        ),
        Row(
            "Who is the bottleneck",
            (
                Panel(
                    "The generator's core",
                    (("tidewire_load_cpu_share", "{{instance}}"),),
                    "Of each of its processes. Over 0.85 a run measures itself, and fails.",
                    unit="percentunit",
                    wide=8,
                ),
                Panel(
                    "The generator's lag",
                    (("tidewire_load_lag_seconds", "{{instance}}"),),
                    "The latest wake-up of each second. Over 0.15 s a run measures itself.",
                    unit="s",
                    wide=8,
                ),
                Panel(
                    "The servers' cores",
                    (
                        (
                            f'sum by (instance) (rate(process_cpu_seconds_total{{job="ws",{NODE}}}[$__rate_interval]))',
                            "{{instance}}",
                        ),
                    ),
                    "Of each node; one core is all that it has.",
                    unit="percentunit",
                    wide=8,
                ),
            ),
        ),
    ),
)
