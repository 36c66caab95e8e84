"""The ledger of `make test-faults`: lost, duplicated and reordered events, peaks and evenness."""

import pytest

from tests.faults.account import Account, peak_per_second, percentile, unevenness


def account(shown, due, **options):
    new_account = Account.of("ada/1", shown, due, **options)
    return new_account.due, new_account.received, new_account.lost, new_account.duplicated, new_account.reordered


@pytest.mark.parametrize(
    ("shown", "due", "expected"),
    [
        ([1, 2, 3], [1, 2, 3], (3, 3, 0, 0, 0)),
        ([1, 3], [1, 2, 3], (3, 2, 1, 0, 0)),
        ([1, 2, 2, 3], [1, 2, 3], (3, 3, 0, 1, 0)),
        ([1, 3, 2], [1, 2, 3], (3, 3, 0, 0, 1)),
        ([], [1, 2], (2, 0, 2, 0, 0)),
        # Events from before the run do not count.
        ([7, 1], [1], (1, 1, 0, 0, 0)),
    ],
)
def test_what_a_page_showed_is_held_against_what_was_due(shown, due, expected):
    assert account(shown, due) == expected


def test_who_left_is_due_nothing_afterwards():
    assert account([1, 2], [1, 2, 3, 4], until=2) == (2, 2, 0, 0, 0)


def test_what_is_wrong_is_named():
    assert Account.of("ada/1", [1, 1], [1, 2]).examples == ["ada/1: lost 2", "ada/1: duplicated 1"]


def test_a_reload_has_what_was_committed_before_it():
    whole = Account.of("ada/1", [3], [1, 2, 3, 4])
    whole.reload([20.0], [10.0, 15.0, 25.0])
    assert (whole.lost, whole.reloaded, whole.not_recovered) == (1, 2, 1)


def test_accounts_add_up():
    both = Account.of("ada/1", [1], [1, 2]) + Account.of("bob/2", [1, 2], [1, 2])
    assert (both.clients, both.due, both.lost, both.examples) == (2, 4, 1, ["ada/1: lost 2"])


@pytest.mark.parametrize(("times", "peak"), [([], 0), ([1.0], 1), ([0.9, 1.1, 1.8, 1.95], 3), ([0.0, 1.0, 2.0], 1)])
def test_a_peak_may_begin_anywhere(times, peak):
    assert peak_per_second(times) == peak


def test_evenness():
    assert unevenness([0.5, 1.5, 2.5, 3.5], 0.0, 4.0) < 0.01
    assert unevenness([0.1] * 100, 0.0, 4.0) > 0.9
    assert unevenness([], 0.0, 4.0) == 1.0


def test_percentile():
    assert percentile(list(range(100)), 0.99) == 99
    assert percentile([], 0.99) == 0.0
