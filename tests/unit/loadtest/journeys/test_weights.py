"""The option that selects the journeys of a run."""

import argparse

import pytest

from loadtest.journeys.weights import chosen, formed, known, weights


@pytest.fixture
def journeys():
    return [type(name, (), {"weight": weight}) for name, weight in (("Editor", 1), ("ListReader", 4), ("Watcher", 3))]


def test_every_journey_is_as_it_says_itself_where_nothing_is_asked(journeys):
    assert [(each.__name__, each.weight) for each in chosen("", journeys)] == [
        ("Editor", 1),
        ("ListReader", 4),
        ("Watcher", 3),
    ]


def test_only_what_is_asked_for_is_in_the_run(journeys):
    assert [(each.__name__, each.weight) for each in chosen("Watcher=1,Editor=2", journeys)] == [
        ("Editor", 2),
        ("Watcher", 1),
    ]


@pytest.mark.parametrize("text", ["Editor", "Editor=", "Editor=0", "Editor=-1", "Editor=half", "=3"])
def test_what_is_no_weight_is_named(text):
    with pytest.raises(argparse.ArgumentTypeError, match=rf"'{text}' is not a journey and its weight"):
        formed(text)


def test_text_stays_text():
    """Locust's master sends its options to workers as text."""
    assert formed("Editor=2,Watcher=1") == "Editor=2,Watcher=1"
    assert weights("Editor=2,Watcher=1") == {"Editor": 2, "Watcher": 1}


def test_journey_is_given_once():
    with pytest.raises(argparse.ArgumentTypeError, match="Editor is given twice"):
        weights("Editor=1,Editor=2")


def test_unknown_journey_is_named_with_those_that_there_are(journeys):
    assert known("Editor=2", journeys) == "Editor=2"
    with pytest.raises(argparse.ArgumentTypeError, match="Reader is no journey; there are Editor, ListReader, Watcher"):
        known("Reader=2", journeys)
