"""Load users: when they may be created, their names and their password."""

import pytest

from loadtest.create_users import password, refusal, username


@pytest.mark.parametrize(
    ("environment", "in_production", "has_password", "allowed"),
    [
        ("development", False, False, True),
        ("production", False, True, False),
        ("production", True, False, False),
        ("production", True, True, True),
    ],
)
def test_production_wants_to_be_asked_and_a_password(environment, in_production, has_password, allowed):
    reason = refusal(environment=environment, in_production=in_production, has_password=has_password)
    assert (reason is None) is allowed


def test_password_comes_from_a_file_as_containers_are_given_secrets(tmp_path, monkeypatch):
    (tmp_path / "secret").write_text("tide\n")
    monkeypatch.setenv("LOADTEST_PASSWORD_FILE", str(tmp_path / "secret"))
    assert password() == "tide"


def test_names_of_load_users_sort():
    assert username(7) == "load-00007"
