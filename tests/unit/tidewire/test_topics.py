"""Topics: their names, and the text form of positions."""

import re

import pytest
from channels.layers import BaseChannelLayer
from hypothesis import given
from hypothesis import strategies as st

from tidewire.conf import Settings
from tidewire.hints import group_name
from tidewire.topics import NAME_LENGTH, Position, StreamTopic, check_name

names = st.from_regex(r"[A-Za-z0-9_-]{1,10}(\.[A-Za-z0-9_-]{1,10}){0,5}", fullmatch=True)


@given(names)
def test_a_name_of_letters_digits_and_dots_is_allowed(name):
    """A name is parts joined by dots, as in `document.plan`."""
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", ".", "a.", ".a", "a..b", "a b", "a|b", "a:b", "ä", "a\n", "a/b"])
def test_any_other_name_is_refused(name):
    """Parts must not be empty, and must not contain a character that Channels or a key uses."""
    with pytest.raises(ValueError, match=re.escape(repr(name))):
        StreamTopic(name)


def test_a_name_has_a_bound():
    """A long name is refused with its length, and is not repeated in full."""
    assert check_name("x" * NAME_LENGTH)
    with pytest.raises(ValueError, match="81 characters, 80 at most") as caught:
        check_name("x" * (NAME_LENGTH + 1))
    assert len(str(caught.value)) < NAME_LENGTH


@given(names)
def test_any_topic_s_group_is_allowed_by_channels(name):
    """With the default prefix, a layer must accept every topic's group name, in each version of Channels."""
    group = group_name(Settings(REDIS_URL="redis://h").PREFIX, name[:NAME_LENGTH].strip("."))
    assert BaseChannelLayer.group_name_regex.match(group)
    assert BaseChannelLayer().match_type_and_length(group)


hexes = st.from_regex(r"[0-9a-f]{1,32}", fullmatch=True)


@given(hexes, st.integers(0, 10**15 - 1), st.just("") | hexes)
def test_a_position_is_read_back(epoch, offset, mark):
    """A socket's position equals the one that its page contains."""
    position = Position(epoch, offset, mark)
    assert Position.parse(str(position)) == position


@given(st.text() | st.from_regex(r"[0-9a-f]*\.?[0-9a-f]*:?-?[0-9 ]*"))
def test_any_text_is_a_position_or_none(text):
    """A client may send any text, and only a position may be accepted as one."""
    position = Position.parse(text)
    assert position is None or re.fullmatch(r"[0-9a-f]{1,32}(\.[0-9a-f]{1,32})?:\d{1,15}", text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a:",
        ":1",
        "g:1",
        "a:-1",
        "a:1 ",
        "a:1\n",
        "a:1:2",
        "a:" + "1" * 16,
        "A:1",
        "a.:1",
        ".a:1",
        "a.b.c:1",
        "a.*:1",
    ],
)
def test_a_text_that_is_nearly_a_position_is_none(text):
    """A position has exactly one text form."""
    assert Position.parse(text) is None
