"""Axes with round numbers, labels that do not overlap."""

import itertools
import re

import pytest

from testkit.svg_charts import NAME_HEIGHT, Band, Line, Mark, chart, number, powers, ticks


@pytest.mark.parametrize(
    ("most", "expected"),
    [(0, [0, 1]), (4, [0, 1, 2, 3, 4]), (37, [0, 10, 20, 30, 40]), (1000, [0, 250, 500, 750, 1000])],
)
def test_ticks_are_round_and_reach_the_top(most, expected):
    assert ticks(most) == expected


def test_names_at_the_ends_keep_their_distance():
    lines = [Line(name, [(0, 1.0), (1, 1.0)]) for name in ("a", "b", "c")]
    svg = chart(lines, unit="ms", x_ticks=[(0, "0 s")])
    ends = sorted(float(y) for y in re.findall(r'class="name"[^>]* y="([\d.]+)"', svg))
    assert all(below - above >= NAME_HEIGHT - 0.11 for above, below in itertools.pairwise(ends))


def test_a_band_too_narrow_for_its_name_keeps_it_for_the_pointer():
    bands = [Band("hold", 0, 98), Band("settle", 98, 99), Band("ended", 99, 100)]
    svg = chart([Line("a", [(0, 1.0), (100, 1.0)])], unit="ms", x_ticks=[(0, "0 s")], bands=bands)
    assert re.findall(r'class="band-name"[^>]*>(\w+)<', svg) == ["hold"]
    assert re.findall(r"<title>(\w+)</title>", svg) == ["hold", "settle", "ended"]


def test_chart_of_nothing_says_so():
    assert "Nothing was measured" in chart([], unit="ms", x_ticks=[])


def test_names_are_text_and_never_markup():
    assert "<b>" not in chart([Line("<b>", [(0, 1.0)])], unit="ms", x_ticks=[])


def test_numbers_have_as_many_digits_as_they_need():
    assert [number(value) for value in (0, 3, 12.345, 1234.5, 0.0312)] == ["0", "3", "12.3", "1,234", "0.0312"]


def heights(values, **more):
    svg = chart([Line("a", list(enumerate(values)))], unit="ms", x_ticks=[(0, "0 s")], **more)
    points = re.search(r'<polyline[^>]* points="([^"]+)"', svg)
    return [float(point.split(",")[1]) for point in points[1].split()], svg


def test_outlier_does_not_flatten_the_rest():
    """On a linear axis 20 and 60 ms would be two pixels apart beside 4,000 ms."""
    values = [20.0, 60.0] * 10 + [4000.0]
    ys, svg = heights(values)
    assert ys[0] - ys[1] > 20
    assert ">ms, log<" in svg


def test_axis_without_an_outlier_is_linear():
    ys, svg = heights([20.0, 40.0, 60.0])
    assert ys[0] - ys[1] == pytest.approx(ys[1] - ys[2], abs=0.2)
    assert "log" not in svg


def test_axis_of_shares_is_linear_in_any_case():
    svg = chart(
        [Line("a", [(0, 1.0), (1, 100.0)]), Line("b", [(0, 1.0), (1, 1.0)] * 9)], unit="%", x_ticks=[(0, "0 s")]
    )
    assert "log" not in svg


def test_nothing_on_a_logarithmic_axis_is_at_its_foot():
    ys, _ = heights([0.0, 20.0, 60.0] * 10 + [4000.0])
    assert ys[0] == max(ys)
    assert ys[0] <= 250


@pytest.mark.parametrize(
    ("least", "most", "expected"),
    [
        (20, 60, [20, 50, 100]),
        (3, 4000, [1, 10, 100, 1000, 10000]),
        (0.2, 0.6, [0.2, 0.5, 1]),
        (0.00001, 1000, [0.01, 0.1, 1, 10, 100, 1000]),
    ],
)
def test_powers_hold_all_values_within_five_decades(least, most, expected):
    assert powers(least, most) == pytest.approx(expected)


def test_every_objective_has_a_line_and_those_far_above_have_none():
    _, svg = heights([20.0, 40.0], limits=[("p95", 50.0), ("p99", 100.0), ("far", 1000.0)])
    assert re.findall(r'class="limit-name"[^>]*>(\w+)<', svg) == ["p95", "p99"]


def test_mark_is_a_named_point_within_the_chart():
    _, svg = heights([20.0, 40.0], marks=[Mark("p95", 1, 300.0)])
    circle = re.search(r'<circle[^>]* cy="([\d.]+)"', svg)
    assert 24 <= float(circle[1]) <= 224
