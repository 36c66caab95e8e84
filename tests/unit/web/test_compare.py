"""The comparison of two texts by lines always shows both completely."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.compare import compare

texts = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), max_size=12).map("\n".join)


def test_marks_what_the_other_text_lacks():
    yours, theirs = compare("a\nb\nc", "a\nx\nc\nd")
    assert [(line.text, line.differs) for line in yours] == [("a", False), ("b", True), ("c", False)]
    assert [(line.text, line.differs) for line in theirs] == [("a", False), ("x", True), ("c", False), ("d", True)]


@given(texts, texts)
def test_leaves_nothing_out(left, right):
    yours, theirs = compare(left, right)
    assert [line.text for line in yours] == left.splitlines()
    assert [line.text for line in theirs] == right.splitlines()
    same = [[line.text for line in side if not line.differs] for side in (yours, theirs)]
    assert same[0] == same[1]


@given(texts)
def test_marks_nothing_in_equal_texts(text):
    assert not any(line.differs for side in compare(text, text) for line in side)


def test_a_line_that_moved_is_marked():
    """Two different versions never look the same."""
    yours, theirs = compare("a\nb", "b\na")
    assert any(line.differs for line in yours)
    assert any(line.differs for line in theirs)


@given(texts, texts)
def test_versions_look_the_same_only_where_they_are(left, right):
    marked = any(line.differs for side in compare(left, right) for line in side)
    assert marked is (left.splitlines() != right.splitlines())


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (["a"] * 50_000, ["b"] * 50_000),
        (["a", "b"] * 500, ["a", "c"] * 500),
        (["x"] * 1000, [line for number in range(500) for line in ("x", str(number))]),
    ],
)
def test_no_text_holds_the_page_up(left, right):
    """No user may block a thread with two texts. The limit is generous, because the machine may be busy."""
    started = time.process_time()
    compare("\n".join(left), "\n".join(right))
    assert time.process_time() - started < 3


def test_what_is_too_long_to_compare_is_marked_between_its_common_ends():
    yours, _ = compare("\n".join(["same", *"a" * 2000, "end"]), "\n".join(["same", *"b" * 2000, "end"]))
    assert [line.differs for line in yours] == [False, *[True] * 2000, False]
