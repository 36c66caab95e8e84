"""Fingerprints of secrets: equal for equal secrets, and of no use to a guess."""

import hashlib

from dashboard import fingerprints
from dashboard.env import read_env
from tidewire import metrics

KEY = "k" * 50
URL = "redis://tidewire:hunter2@redis.internal:6379/0"


def env(**values):
    given = {"TIDEWIRE_ENVIRONMENT": "development", "TIDEWIRE_SECRET_KEY": KEY, "TIDEWIRE_REDIS_URL": URL}
    return read_env(given | {f"TIDEWIRE_{name}": value for name, value in values.items()})


def test_two_processes_with_the_same_secrets_have_the_same():
    assert fingerprints.fingerprints(env()) == fingerprints.fingerprints(env())


def test_a_rotated_password_changes_its_own_alone():
    before = fingerprints.fingerprints(env())
    after = fingerprints.fingerprints(env(REDIS_URL=URL.replace("hunter2", "hunter3")))
    assert {name for name in after if after[name] != before[name]} == {"redis_url"}


def test_a_secret_that_is_not_set_has_none():
    assert set(fingerprints.fingerprints(env())) == {"secret_key", "redis_url", "database_url"}
    assert "secret_key_fallbacks" in fingerprints.fingerprints(env(SECRET_KEY_FALLBACKS="f" * 50))


def test_without_the_key_no_guess_can_be_checked():
    found = fingerprints.fingerprints(env())["redis_url"]
    assert found not in {
        hashlib.sha256(text.encode()).hexdigest()[: fingerprints.DIGITS] for text in (URL, f"redis_url\0{URL}")
    }
    assert found != fingerprints.fingerprints(env(SECRET_KEY="l" * 50))["redis_url"]


def test_each_process_shows_them():
    """The application published its own at the start of the tests."""
    [family] = metrics.SECRET_INFO.collect()
    assert {"secret_key", "redis_url"} <= {sample.labels["secret"] for sample in family.samples}
    assert all(len(sample.labels["fingerprint"]) == fingerprints.DIGITS for sample in family.samples)
