"""The templates' texts about users and times; tests/browser checks that the scripts have the same."""

from datetime import timedelta

import pytest
from django.utils import timezone

from web.templatetags.people import HUES, hue, initial
from web.templatetags.times import ago


def test_a_name_has_one_colour():
    assert hue("ada") == hue("ada")
    assert {hue(f"user{number}") for number in range(50)} == set(range(HUES))


@pytest.mark.parametrize(("name", "letter"), [("ada", "A"), ("éva", "É"), ("", "")])
def test_initial(name, letter):
    assert initial(name) == letter


@pytest.mark.parametrize(
    ("since", "words"),
    [
        (timedelta(seconds=59), "just now"),
        (timedelta(seconds=-30), "just now"),
        (timedelta(minutes=1), "1\xa0minute ago"),
        (timedelta(hours=5, minutes=59), "5\xa0hours ago"),
        (timedelta(days=15), "2\xa0weeks ago"),
    ],
)
def test_ago(since, words):
    assert ago(timezone.now() - since) == words
