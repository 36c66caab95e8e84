"""*Operations*: at a glance whether the site works, then nodes, Redis, PostgreSQL, pages and resources."""

from __future__ import annotations

from deploy.grafana.panels import FIRING, NODE, Dashboard, Panel, Row, quantiles

PAGES = 'view!~"unnamed|none"'

RESTARTS = f"tidewire_task_restarts_total{{{NODE}}}"
# Of an exporter that waits for its hanging neighbour there is only `up`, which is 0 then.
UP = (
    ('max(probe_success{job="site"})', "the site, by its probe"),
    ('max(nginx_up) or max(up{job="nginx"})', "nginx"),
    ('max(pg_up) or max(up{job="postgres"})', "PostgreSQL"),
    ('max(redis_up) or max(up{job="redis"})', "Redis"),
    ('up{job=~"ws|web|relay"}', "{{job}} {{instance}}"),
)

OPERATIONS = Dashboard(
    "tidewire-operations",
    "tidewire: operations",
    "Whether the site works; nodes, Redis, PostgreSQL, pages, resources.",
    (
        Row(
            "At a glance",
            (
                Panel(
                    "Alerts that fire",
                    ((f"sum by (alertname) ({FIRING}) or vector(0)", "{{alertname}}"),),
                    "0 without a name: none.",
                    kind="stat",
                    wide=12,
                    high=4,
                    limit=1,
                ),
                Panel(
                    "The site",
                    (('min(probe_success{job="site"})', "probe"),),
                    "A request through nginx and web to the database. Alert: TidewireSiteDown.",
                    kind="stat",
                    wide=4,
                    high=4,
                    states=(("fails", "red"), ("answers", "green")),
                ),
                Panel(
                    "Failed pages",
                    (("tidewire:requests_failed:ratio2m or vector(0)", "of two minutes"),),
                    "Errors of web. Alert: TidewireWebErrors.",
                    unit="percentunit",
                    kind="stat",
                    wide=4,
                    high=4,
                    limit=0.05,
                ),
                Panel(
                    "Failed saves",
                    (("tidewire:saves_failed:ratio2m or vector(0)", "of two minutes"),),
                    "Of the requests that change something. Alert: TidewireSavesFail.",
                    unit="percentunit",
                    kind="stat",
                    wide=4,
                    high=4,
                    limit=0.1,
                ),
                Panel(
                    "Sockets",
                    (
                        ("tidewire:connections:sum", "now"),
                        ("tidewire:connections:sum offset 10m", "ten minutes ago"),
                    ),
                    "Alerts: TidewireSocketsGone, TidewireNodeLost.",
                    kind="stat",
                    wide=12,
                    high=4,
                ),
                Panel(
                    "Stale nodes",
                    (("sum(tidewire_stale)", "without Redis"),),
                    "Their pages say so. Alert: TidewireStale.",
                    kind="stat",
                    wide=6,
                    high=4,
                    limit=1,
                ),
                Panel(
                    "Oldest event in the outbox",
                    (("max(tidewire_outbox_oldest_seconds)", "waits"),),
                    "Saved, and not shown to others yet. Alert: TidewireOutboxStuck.",
                    unit="s",
                    kind="stat",
                    wide=6,
                    high=4,
                    limit=60,
                ),
                Panel(
                    "Up",
                    UP,
                    "Alerts: TidewireNginxDown, TidewirePostgresDown, TidewireRedisDown, TidewireScrapeMissing.",
                    kind="states",
                    wide=24,
                    states=(("down", "red"), ("up", "green")),
                ),
            ),
        ),
        Row(
            "Nodes",
            (
                Panel(
                    "Draining",
                    ((f"tidewire_draining{{{NODE}}}", "{{instance}}"),),
                    "A node lets its sockets go. Alert: TidewireDrainSlow.",
                    kind="states",
                    wide=8,
                    states=(("serves", "green"), ("drains", "orange")),
                ),
                Panel(
                    "Event loop lag",
                    quantiles("tidewire_loop_lag_seconds", "instance"),
                    "Everything on a node waits so long. Alert: TidewireLoopLag.",
                    unit="s",
                    limit=0.1,
                    wide=8,
                ),
                Panel(
                    "Ghosts and restarted tasks",
                    (
                        (f"sum(increase(tidewire_presence_ghosts_total{{{NODE}}}[$__rate_interval]))", "ghosts"),
                        (f"sum by (task) (increase({RESTARTS}[$__rate_interval]))", "{{task}}"),
                    ),
                    "Members of lost nodes, and bugs. Alerts: TidewireGhosts, TidewireTaskRestarts.",
                    wide=8,
                ),
            ),
        ),
        Row(
            "Redis and PostgreSQL",
            (
                Panel(
                    "Redis: errors and stale nodes",
                    (
                        ("sum by (kind) (rate(tidewire_redis_errors_total[$__rate_interval]))", "errors: {{kind}}"),
                        ("sum(tidewire_stale)", "stale nodes"),
                    ),
                    "Calls that failed. Alerts: TidewireRedisErrors, TidewireStale.",
                    wide=6,
                ),
                Panel(
                    "Redis: memory",
                    (("redis_memory_used_bytes", "used"), ("redis_memory_max_bytes", "at most (0: no limit)")),
                    "Full, it refuses writes. Alerts: TidewireRedisMemory, TidewireRedisFull.",
                    unit="bytes",
                    wide=6,
                ),
                Panel(
                    "PostgreSQL: connections",
                    (
                        ("sum by (state) (pg_stat_activity_count)", "{{state}}"),
                        ("max(pg_settings_max_connections)", "at most"),
                    ),
                    "By state. Alert: TidewirePostgresConnections.",
                    wide=6,
                ),
                Panel(
                    "PostgreSQL: transactions",
                    (
                        ("sum(rate(pg_stat_database_xact_commit[$__rate_interval]))", "committed a second"),
                        ("sum(rate(pg_stat_database_xact_rollback[$__rate_interval]))", "rolled back a second"),
                        ("max(pg_stat_activity_max_tx_duration)", "seconds of the longest now"),
                    ),
                    "One that lasts for minutes holds locks. Alert: TidewirePostgresDown.",
                    wide=6,
                ),
            ),
        ),
        Row(
            "nginx and pages",
            (
                Panel(
                    "Connections of nginx",
                    (("nginx_connections_active", "active"), ("nginx_connections_waiting", "waiting")),
                    "A socket is two: the client's and the upstream's. Alert: TidewireNginxDown.",
                    wide=8,
                ),
                Panel(
                    "Pages by status",
                    ((f"sum by (status) (rate(tidewire_requests_total{{{PAGES}}}[$__rate_interval]))", "{{status}}"),),
                    "Alert: TidewireWebErrors.",
                    unit="reqps",
                    stacked=True,
                    wide=8,
                ),
                Panel(
                    "Pages, how long",
                    quantiles("tidewire_request_duration_seconds", matchers=PAGES),
                    "Alert: TidewireWebSlow.",
                    unit="s",
                    limit=0.5,
                    wide=8,
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
                    wide=8,
                ),
                Panel(
                    "Memory of nodes",
                    ((f'process_resident_memory_bytes{{job="ws",{NODE}}}', "{{instance}}"),),
                    "Resident.",
                    unit="bytes",
                    wide=8,
                ),
                Panel(
                    "Free disk",
                    (
                        (
                            "min by (mountpoint) (node_filesystem_avail_bytes / node_filesystem_size_bytes)",
                            "{{mountpoint}}",
                        ),
                    ),
                    "Of the host, by file system. Alerts: TidewireDiskLow, TidewireDiskFull.",
                    unit="percentunit",
                    wide=8,
                ),
            ),
        ),
    ),
)
