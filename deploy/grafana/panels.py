"""The parts of a dashboard: panels with queries, rows of panels, and the parts that all dashboards share."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, statetimeline, timeseries
from grafana_foundation_sdk.models import common as looks
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = model.DataSourceRef(type_val="prometheus", uid="prometheus")
# Each team may read docs/runbooks at another address, which the text box at the top of each dashboard has.
RUNBOOKS = "https://example.com/tidewire/docs/runbooks"
# Label matchers of every panel, with the dashboard's variables.
NODE = 'instance=~"$node"'
CONSUMER = 'consumer=~"$consumer"'
# The watchdog always fires.
FIRING = 'ALERTS{alertstate="firing", alertname=~"Tidewire.+", alertname!="TidewireWatchdog"}'
DASHED = looks.GraphThresholdsStyleMode.DASHED
TOOLTIP = common.VizTooltipOptions().mode(looks.TooltipDisplayMode.MULTI).sort(looks.SortOrder.DESCENDING)
KINDS: dict[str, Any] = {
    "lines": timeseries.Panel,
    "stat": stat.Panel,
    "heatmap": heatmap.Panel,
    "states": statetimeline.Panel,
}


@dataclasses.dataclass(frozen=True)
class Panel:
    """A panel. `queries` are (PromQL, legend). `unit` is Grafana's; `wide` is in the grid's 24 columns.

    Values from `limit` on need attention. The values 0 and 1 of "states", and of a "stat" that has them, are `states`,
    each as (text, colour).
    """

    title: str
    queries: tuple[tuple[str, str], ...]
    description: str
    unit: str = "short"
    kind: str = "lines"
    wide: int = 12
    high: int = 8
    stacked: bool = False
    limit: float | None = None
    states: tuple[tuple[str, str], tuple[str, str]] | None = None

    def build(self, number: int) -> Any:
        builder = KINDS[self.kind]().id(number).title(self.title).description(self.description).datasource(SOURCE)
        builder = builder.unit(self.unit).span(self.wide).height(self.high)
        builder = {"lines": self._lines, "stat": self._stat, "heatmap": self._heatmap, "states": self._states}[
            self.kind
        ](builder)
        for i, (expr, legend) in enumerate(self.queries):
            query = prometheus.Dataquery().expr(expr).legend_format(legend).ref_id(chr(ord("A") + i)).datasource(SOURCE)
            if self.kind == "heatmap":
                query = query.format(PromQueryFormat.HEATMAP)
            builder = builder.with_target(query.instant() if self.kind == "stat" else query.range())
        return builder

    def _lines(self, builder: Any) -> Any:
        builder = (
            builder.min(0).fill_opacity(10).line_width(1).thresholds(self._thresholds("transparent")).tooltip(TOOLTIP)
        )
        if self.limit is not None:
            builder = builder.thresholds_style(common.GraphThresholdsStyleConfig().mode(DASHED))
        if self.stacked:
            builder = builder.stacking(common.StackingConfig().mode(looks.StackingMode.NORMAL))
        legend = common.VizLegendOptions().display_mode(looks.LegendDisplayMode.TABLE).show_legend(True)
        return builder.legend(legend.placement(looks.LegendPlacement.BOTTOM).calcs(["lastNotNull", "max"]))

    def _stat(self, builder: Any) -> Any:
        # Without these, Grafana's default would show each value above 80 in red.
        builder = builder.thresholds(self._thresholds("text")).graph_mode(looks.BigValueGraphMode.NONE)
        return builder.mappings(self._mappings()) if self.states else builder

    def _heatmap(self, builder: Any) -> Any:
        return builder.calculate(False).y_axis(heatmap.YAxisConfig().unit(self.unit))

    def _states(self, builder: Any) -> Any:
        return builder.mappings(self._mappings()).row_height(0.8).line_width(0)

    def _mappings(self) -> list[Any]:
        assert self.states is not None
        results = {
            str(value): model.ValueMappingResult(text=text, color=colour, index=value)
            for value, (text, colour) in enumerate(self.states)
        }
        return [model.ValueMap(options=results)]

    def _thresholds(self, below: str) -> Any:
        steps = [model.Threshold(value=None, color=below)]
        if self.limit is not None:
            steps.append(model.Threshold(value=self.limit, color="red"))
        return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)


@dataclasses.dataclass(frozen=True)
class Row:
    title: str
    panels: tuple[Panel, ...]


@dataclasses.dataclass(frozen=True)
class Dashboard:
    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]
    hours: int = 1

    def panels(self) -> list[Panel]:
        return [panel for row in self.rows for panel in row.panels]

    def build(self) -> Any:
        builder = (
            dashboard.Dashboard(self.title)
            .uid(self.uid)
            .description(self.description)
            .tags(["tidewire"])
            .readonly()
            .refresh("10s")
            .tooltip(model.DashboardCursorSync.CROSSHAIR)
            .time(f"now-{self.hours}h", "now")
            .with_variable(_variable("node", "label_values(tidewire_connections, instance)"))
            .with_variable(_variable("consumer", "label_values(tidewire_connections, consumer)"))
            .with_variable(dashboard.TextBoxVariable("runbooks").default_value(RUNBOOKS))
            .link(_link("Runbooks", "${runbooks}"))
            .link(dashboard.DashboardLink("tidewire").type(model.DashboardLinkType.DASHBOARDS).tags(["tidewire"]))
        )
        for name, expr, colour in ANNOTATIONS:
            builder = builder.annotation(_Mark(name, expr, colour))
        # A link to a panel contains its number.
        numbers = itertools.count(1)
        for row in self.rows:
            builder = builder.with_row(dashboard.Row(row.title).id(next(numbers)))
            for panel in row.panels:
                builder = builder.with_panel(panel.build(next(numbers)))
        return builder.build()


# A process younger than a minute means a deploy, or a node that came back. A node reports its own drain.
ANNOTATIONS = (
    ("starts", 'time() - process_start_time_seconds{job="ws"} < 60', "green"),
    ("drains", "tidewire_draining == 1", "orange"),
    ("alerts", FIRING, "red"),
)


def quantiles(metric: str, by: str = "", *, matchers: str = NODE) -> tuple[tuple[str, str], ...]:
    """Return p50, p95 and p99 of a histogram, by one label or over all."""
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
        # Explicit, because the default differs between versions of Grafana: all values, or only the first.
        .current(model.VariableOption(selected=True, text=["All"], value=["$__all"]))
    )


class _Marked(model.AnnotationQuery):
    """An annotation with the text of its tooltip, which the library cannot set."""

    def to_json(self) -> dict[str, object]:
        return super().to_json() | {"titleFormat": "{{alertname}}", "textFormat": "{{instance}}", "step": "10s"}


@dataclasses.dataclass(frozen=True)
class _Mark:
    name: str
    expr: str
    colour: str

    def build(self) -> model.AnnotationQuery:
        return _Marked(name=self.name, datasource=SOURCE, enable=True, icon_color=self.colour, expr=self.expr)


def _link(title: str, url: str) -> Any:
    return dashboard.DashboardLink(title).type(model.DashboardLinkType.LINK).url(url).target_blank(True)
