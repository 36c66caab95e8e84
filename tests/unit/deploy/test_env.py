"""dashboard.env: the variables that production requires, and the accuracy of their documentation."""

from pathlib import Path

import pytest

from dashboard.env import DEVELOPMENT, ROOT, Env, read_env
from deploy.local.env_example import env_example

PRODUCTION = {
    "TIDEWIRE_SECRET_KEY": "k" * 25 + "e" * 25,
    "TIDEWIRE_ALLOWED_HOSTS": "docs.example.com, www.example.com",
    "TIDEWIRE_REDIS_URL": "redis://redis:6379/0",
    "TIDEWIRE_DATABASE_URL": "postgres://tidewire@db/tidewire",
}


@pytest.fixture
def environ(monkeypatch):
    """Remove all settings of tidewire from the environment. Call the fixture to set some."""
    monkeypatch.delenv("TIDEWIRE_ENVIRONMENT", raising=False)

    def set_all(variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_all


def refusal():
    with pytest.raises(SystemExit) as stopped:
        read_env()
    return str(stopped.value)


@pytest.mark.usefixtures("environ")
def test_production_names_every_missing_variable_at_once():
    """A failed start should name all missing variables."""
    message = refusal()
    for name in PRODUCTION:
        assert f"{name} is not set" in message


def test_production_starts_with_what_it_asked_for(environ):
    environ(PRODUCTION)
    env = read_env()
    assert env.environment == "production"
    assert env.allowed_hosts == ("docs.example.com", "www.example.com")
    assert env.secure_cookies is True
    assert env.log_format == "json"
    assert env.node_name


@pytest.mark.parametrize("name", PRODUCTION)
def test_an_empty_variable_is_a_missing_one(environ, name):
    environ(PRODUCTION | {name: ""})
    assert f"{name} is not set" in refusal()


def test_development_needs_nothing(environ):
    environ({"TIDEWIRE_ENVIRONMENT": "development"})
    env = read_env()
    assert env.allowed_hosts == ("localhost", "127.0.0.1")
    assert env.secure_cookies is False


def test_development_still_obeys_what_is_set(environ):
    environ({"TIDEWIRE_ENVIRONMENT": "development", "TIDEWIRE_REDIS_URL": "redis://other:1/2"})
    assert read_env().redis_url == "redis://other:1/2"


def test_production_refuses_the_public_development_key(environ):
    environ(PRODUCTION | {"TIDEWIRE_SECRET_KEY": DEVELOPMENT["secret_key"]})
    assert "TIDEWIRE_SECRET_KEY is the public development key" in refusal()


def test_production_refuses_a_short_key(environ):
    environ(PRODUCTION | {"TIDEWIRE_SECRET_KEY": "short"})
    message = refusal()
    assert "has 5 characters" in message
    assert "short" not in message.replace("shorter", "")


def test_fallback_keys_are_a_list(environ):
    first, second = "f" * 50, "s" * 50
    environ(PRODUCTION | {"TIDEWIRE_SECRET_KEY_FALLBACKS": f"{first}, {second},"})
    assert read_env().fallbacks == [first, second]
    assert first not in repr(read_env())


@pytest.mark.parametrize("key", ["short", DEVELOPMENT["secret_key"]])
def test_production_refuses_a_weak_fallback_key(environ, key):
    """Anyone with the fallback key can sign sessions."""
    environ(PRODUCTION | {"TIDEWIRE_SECRET_KEY_FALLBACKS": key})
    assert "TIDEWIRE_SECRET_KEY_FALLBACKS has a public key, or one under 50 characters" in refusal()


def test_production_refuses_debug(environ):
    environ(PRODUCTION | {"TIDEWIRE_DEBUG": "true"})
    assert "TIDEWIRE_DEBUG" in refusal()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TIDEWIRE_ENVIRONMENT", "staging"),
        ("TIDEWIRE_REDIS_URL", "http://redis"),
        ("TIDEWIRE_ADMIN_PORT", "99999"),
        ("TIDEWIRE_NODE_NAME", "ws 1"),
        ("TIDEWIRE_SIGNUP", "perhaps"),
        ("TIDEWIRE_LOG_LEVEL", "LOUD"),
    ],
)
def test_an_odd_value_names_its_variable(environ, name, value):
    environ(PRODUCTION | {name: value})
    assert f"{name} is invalid" in refusal()


def test_secrets_may_be_files_named_like_the_variables(environ, tmp_path):
    """Docker and Kubernetes mount secrets as files. A variable in the environment has precedence."""
    environ({name: value for name, value in PRODUCTION.items() if name != "TIDEWIRE_SECRET_KEY"})
    environ({"TIDEWIRE_SECRETS_DIR": str(tmp_path)})
    (tmp_path / "TIDEWIRE_SECRET_KEY").write_text("f" * 30 + "s" * 30 + "\n")
    (tmp_path / "TIDEWIRE_REDIS_URL").write_text("redis://from-file/0")
    env = read_env()
    assert env.secret_key.get_secret_value() == "f" * 30 + "s" * 30
    assert env.redis_url == PRODUCTION["TIDEWIRE_REDIS_URL"]


def test_a_secrets_directory_that_is_not_there_is_named(environ, tmp_path):
    environ(PRODUCTION | {"TIDEWIRE_SECRETS_DIR": str(tmp_path / "nowhere")})
    assert f"TIDEWIRE_SECRETS_DIR={tmp_path / 'nowhere'}" in refusal()


def test_a_refusal_never_shows_a_value(environ):
    """The message is logged, and the value may contain a password."""
    environ(PRODUCTION | {"TIDEWIRE_REDIS_URL": "http://:hunter2@redis"})
    assert "hunter2" not in refusal()


def test_the_key_does_not_show_in_what_is_logged(environ):
    environ(PRODUCTION)
    assert PRODUCTION["TIDEWIRE_SECRET_KEY"] not in repr(read_env())


def test_env_example_is_generated_from_the_fields():
    """`make generate` writes the file."""
    assert Path(ROOT / ".env.example").read_text(encoding="utf-8") == env_example()


def test_every_setting_is_described():
    assert [name for name, field in Env.model_fields.items() if not field.description] == []
