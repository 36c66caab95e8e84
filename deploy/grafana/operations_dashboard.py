"""*Operations*: nodes, drains, Redis, pages, and their use of resources."""

from __future__ import annotations

from deploy.grafana.panels import NODE, Dashboard, Panel, Row, quantiles

PAGES = 'view!~"unnamed|none"'

RESTARTS = f"tidewire_task_restarts_total{{{NODE}}}"

OPERATIONS = Dashboard(
    "tidewire-operations",
    "tidewire: operations",
    "Nodes, drain, Redis, nginx, web, resources.",
    (
        Row(
            "Nodes",
            (
                Panel(
                    "Up",
                    (('up{job=~"ws|web|relay"}', "{{job}} {{instance}}"),),
                    "Whether it answers its scrape. Alert: TidewireScrapeMissing.",
                    kind="states",
                    states=(("down", "red"), ("up", "green")),
                ),
                Panel(
                    "Draining",
                    ((f"tidewire_draining{{{NODE}}}", "{{instance}}"),),
                    "A node lets its sockets go. Alert: TidewireDrainSlow.",
                    kind="states",
                    states=(("serves", "green"), ("drains", "orange")),
                ),
                Panel(
                    "Event loop lag",
                    quantiles("tidewire_loop_lag_seconds", "instance"),
                    "Everything on a node waits so long. Alert: TidewireLoopLag.",
                    unit="s",
                    limit=0.1,
                ),
                Panel(
                    "Restarted tasks",
                    (
                        (
                            f"sum by (instance, task) (increase({RESTARTS}[$__rate_interval]))",
                            "{{instance}} {{task}}",
                        ),
                    ),
                    "Each is a bug. Alert: TidewireTaskRestarts.",
                ),
                Panel(
                    "Leases",
                    (
                        (f"sum(increase(tidewire_leases_registered_total{{{NODE}}}[$__rate_interval]))", "registered"),
                        (f"sum(increase(tidewire_leases_expired_total{{{NODE}}}[$__rate_interval]))", "expired"),
                        (f"sum(increase(tidewire_presence_ghosts_total{{{NODE}}}[$__rate_interval]))", "ghosts"),
                    ),
                    "Alert: TidewireGhosts.",
                ),
                Panel(
                    "Alerts that fire",
                    (
                        (
                            'sum by (alertname) (ALERTS{alertstate="firing", alertname=~"Tidewire.+"}) or vector(0)',
                            "{{alertname}}",
                        ),
                    ),
                    "0 without a name: none.",
                ),
            ),
        ),
        Row(
            "Redis",
            (
                Panel(
                    "Errors",
                    (
                        (
                            "sum by (instance, kind) (rate(tidewire_redis_errors_total[$__rate_interval]))",
                            "{{instance}} {{kind}}",
                        ),
                    ),
                    "Calls that failed. Alert: TidewireRedisErrors.",
                    unit="cps",
                ),
                Panel(
                    "Reconnects and stale nodes",
                    (
                        ("sum(increase(tidewire_redis_reconnects_total[$__rate_interval]))", "reconnects"),
                        ("sum(tidewire_stale)", "stale nodes"),
                    ),
                    "Alerts: TidewireRedisReconnects, TidewireStale.",
                ),
                Panel(
                    "Memory of Redis",
                    (("redis_memory_used_bytes", "used"), ("redis_memory_max_bytes", "at most (0: no limit)")),
                    "From redis-exporter.",
                    unit="bytes",
                    wide=8,
                ),
                Panel(
                    "Commands of Redis",
                    (("sum(rate(redis_commands_processed_total[$__rate_interval]))", "commands"),),
                    "From redis-exporter.",
                    unit="cps",
                    wide=8,
                ),
                Panel("Clients of Redis", (("redis_connected_clients", "clients"),), "From redis-exporter.", wide=8),
            ),
        ),
        Row(
            "nginx and pages",
            (
                Panel(
                    "Connections of nginx",
                    (("nginx_connections_active", "active"), ("nginx_connections_waiting", "waiting")),
                    "From nginx-exporter. A socket is two: the client's and the upstream's.",
                ),
                Panel(
                    "Requests of nginx",
                    (("rate(nginx_http_requests_total[$__rate_interval])", "requests"),),
                    "From nginx-exporter.",
                    unit="reqps",
                ),
                Panel(
                    "Pages by status",
                    ((f"sum by (status) (rate(tidewire_requests_total{{{PAGES}}}[$__rate_interval]))", "{{status}}"),),
                    "Alert: TidewireWebErrors.",
                    unit="reqps",
                    stacked=True,
                ),
                Panel(
                    "Pages, how long",
                    quantiles("tidewire_request_duration_seconds", matchers=PAGES),
                    "Alert: TidewireWebSlow.",
                    unit="s",
                    limit=0.5,
                ),
            ),
        ),
        Row(
            "Resources",
            (
                Panel(
                    "CPU of nodes",
                    ((f'rate(process_cpu_seconds_total{{job="ws",{NODE}}}[$__rate_interval])', "{{instance}}"),),
                    "Cores; a node can use one.",
                    unit="percentunit",
                ),
                Panel(
                    "Memory of nodes",
                    ((f'process_resident_memory_bytes{{job="ws",{NODE}}}', "{{instance}}"),),
                    "Resident.",
                    unit="bytes",
                ),
                Panel(
                    "Open files of nodes",
                    ((f'process_open_fds{{job="ws",{NODE}}} / process_max_fds{{job="ws",{NODE}}}', "{{instance}}"),),
                    "Share of what the process may open.",
                    unit="percentunit",
                    limit=0.8,
                ),
                Panel(
                    "Cost of a scrape",
                    (('scrape_duration_seconds{job=~"ws|web|relay"}', "{{job}} {{instance}}"),),
                    "It runs on the node's event loop.",
                    unit="s",
                ),
            ),
        ),
    ),
)
