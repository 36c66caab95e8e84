"""Pruning: every registered function is called, even if another one fails."""

import logging

import pytest
from django.contrib.sessions.models import Session
from django.db import OperationalError
from django.utils import timezone

from tidewire.exceptions import RedisUnavailable
from tidewire.publishing import pruning


@pytest.fixture(autouse=True)
def pruners(monkeypatch):
    created = {}
    monkeypatch.setattr(pruning, "_pruners", created)
    return created


@pytest.mark.parametrize("error", [OperationalError("locked"), RedisUnavailable("unavailable"), KeyError("a bug")])
def test_a_function_that_fails_does_not_keep_the_others_from_their_turn(error, caplog):
    turns = []

    def fails() -> None:
        raise error

    pruning.register("first", fails)
    pruning.register("second", lambda: turns.append("second"))
    with caplog.at_level(logging.WARNING):
        pruning.prune()
    assert turns == ["second"]
    assert "first was not pruned" in caplog.text


def test_a_second_registration_replaces_the_first(pruners):
    pruning.register("rows", list)
    pruning.register("rows", dict)
    assert pruners == {"rows": dict}


@pytest.mark.django_db
def test_rows_are_deleted_in_batches(monkeypatch, django_assert_max_num_queries):
    """A single statement for a million rows would lock the table for all users."""
    monkeypatch.setattr(pruning, "BATCH", 10)
    now = timezone.now()
    Session.objects.bulk_create(Session(session_key=f"k{number}", expire_date=now) for number in range(25))
    with django_assert_max_num_queries(3 * 2 + 1):
        assert pruning.delete_batches(Session.objects.filter(session_key__startswith="k")) == 25
    assert not Session.objects.exists()
