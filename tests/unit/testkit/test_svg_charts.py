"""Axes with round numbers, labels that do not overlap."""

import itertools
import re

import pytest

from testkit.svg_charts import NAME_HEIGHT, Band, Line, chart, number, ticks


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
