"""What a dashboard is made of here: panels by their queries, rows of them, and what all dashboards share."""

from __future__ import annotations

import dataclasses
from typing import Any

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.common import StackingMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = model.DataSourceRef(type_val="prometheus", uid="prometheus")
# Where a team reads docs/runbooks is its own: the text box at the top of each dashboard says it.
RUNBOOKS = "https://example.com/tidewire/docs/runbooks"
# What the variables stand for in a query, in the label matchers of every panel.
NODE = 'instance=~"$node"'
CONSUMER = 'consumer=~"$consumer"'


@dataclasses.dataclass(frozen=True)
class Panel:
    """`queries` are (PromQL, legend). `unit` is Grafana's; `wide` is in the grid's 24 columns."""

    title: str
    queries: tuple[tuple[str, str], ...]
    says: str
    unit: str = "short"
    kind: str = "lines"
    wide: int = 12
    high: int = 8
    stacked: bool = False

    def build(self) -> Any:
        made: Any = {"lines": timeseries.Panel, "stat": stat.Panel, "heatmap": heatmap.Panel}[self.kind]()
        made = made.title(self.title).description(self.says).datasource(SOURCE).unit(self.unit)
        made = made.span(self.wide).height(self.high)
        if self.kind == "lines":
            made = made.fill_opacity(10).line_width(1)
            if self.stacked:
                made = made.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
        if self.kind == "heatmap":
            made = made.calculate(False).y_axis(heatmap.YAxisConfig().unit(self.unit))
        for i, (expr, legend) in enumerate(self.queries):
            query = prometheus.Dataquery().expr(expr).legend_format(legend).ref_id(chr(ord("A") + i)).datasource(SOURCE)
            if self.kind == "heatmap":
                query = query.format(PromQueryFormat.HEATMAP)
            made = made.with_target(query.instant() if self.kind == "stat" else query.range())
        return made


@dataclasses.dataclass(frozen=True)
class Row:
    title: str
    panels: tuple[Panel, ...]


@dataclasses.dataclass(frozen=True)
class Dashboard:
    uid: str
    title: str
    says: str
    rows: tuple[Row, ...]

    def panels(self) -> list[Panel]:
        return [panel for row in self.rows for panel in row.panels]

    def build(self) -> Any:
        made = (
            dashboard.Dashboard(self.title)
            .uid(self.uid)
            .description(self.says)
            .tags(["tidewire"])
            .readonly()
            .refresh("10s")
            .time("now-1h", "now")
            .with_variable(_variable("node", "label_values(tidewire_connections, instance)"))
            .with_variable(_variable("consumer", "label_values(tidewire_connections, consumer)"))
            .with_variable(dashboard.TextBoxVariable("runbooks").default_value(RUNBOOKS))
            .link(_link("Runbooks", "${runbooks}"))
            .link(dashboard.DashboardLink("tidewire").type(model.DashboardLinkType.DASHBOARDS).tags(["tidewire"]))
        )
        for name, expr, colour in ANNOTATIONS:
            made = made.annotation(
                dashboard.AnnotationQuery().name(name).datasource(SOURCE).enable(True).icon_color(colour).expr(expr)
            )
        for row in self.rows:
            made = made.with_row(dashboard.Row(row.title))
            for panel in row.panels:
                made = made.with_panel(panel.build())
        return made.build()


# A start that is younger than a minute is a deploy, or a node that came back; a drain is told by the node itself.
ANNOTATIONS = (
    ("starts", 'time() - process_start_time_seconds{job="ws"} < 60', "green"),
    ("drains", "tidewire_draining == 1", "orange"),
    ("alerts", 'ALERTS{alertstate="firing", alertname=~"Tidewire.+"}', "red"),
)


def quantiles(metric: str, by: str = "", *, matchers: str = NODE) -> tuple[tuple[str, str], ...]:
    """p50, p95 and p99 of a histogram, by one label or over all."""
    keep = f"{by}, le" if by else "le"
    legend = f" {{{{{by}}}}}" if by else ""
    rate = f"rate({metric}_bucket{{{matchers}}}[$__rate_interval])"
    return tuple(
        (f"histogram_quantile({part}, sum by ({keep}) ({rate}))", f"p{part * 100:.0f}{legend}")
        for part in (0.5, 0.95, 0.99)
    )


def _variable(name: str, query: str) -> Any:
    return (
        dashboard.QueryVariable(name)
        .query(query)
        .datasource(SOURCE)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
    )


def _link(title: str, url: str) -> Any:
    return dashboard.DashboardLink(title).type(model.DashboardLinkType.LINK).url(url).target_blank(True)
