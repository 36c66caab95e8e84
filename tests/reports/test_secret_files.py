"""Secrets in files: each way to write one, and no secret in a message."""

import pytest

from dashboard.env import read_env
from tests.reports.production_settings import PRODUCTION, read


@pytest.mark.parametrize("text", ["{}\n", "{}\r\n", "\ufeff{}", " {} "])
def test_a_secret_is_the_same_however_its_file_was_written(tmp_path, text):
    """The file was created by an editor on Windows, and no process could log in to Redis."""
    url = "redis://:hunter2@redis:6379/0"
    (tmp_path / "TIDEWIRE_REDIS_URL").write_text(text.format(url))
    environment = PRODUCTION | {"TIDEWIRE_SECRETS_DIR": str(tmp_path)}
    del environment["TIDEWIRE_REDIS_URL"]
    assert read_env(environment).redis_url == url


def empty(path):
    path.write_text("\n")


def directory(path):
    path.mkdir()


def binary(path):
    path.write_bytes(b"\xff\xfe\x00")


def wide(path):
    path.write_text("redis://:hunter2@redis:6379/0", encoding="utf-16")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (empty, "TIDEWIRE_REDIS_URL is not set"),
        (directory, "TIDEWIRE_REDIS_URL in TIDEWIRE_SECRETS_DIR cannot be read: Is a directory"),
        (binary, "TIDEWIRE_REDIS_URL in TIDEWIRE_SECRETS_DIR cannot be read: it is not text"),
        (wide, "TIDEWIRE_REDIS_URL in TIDEWIRE_SECRETS_DIR cannot be read: it is not text"),
    ],
)
def test_a_file_that_holds_no_secret_is_named(tmp_path, make, message):
    """Docker creates a directory in place of a file that does not exist."""
    make(tmp_path / "TIDEWIRE_REDIS_URL")
    environment = PRODUCTION | {"TIDEWIRE_SECRETS_DIR": str(tmp_path)}
    del environment["TIDEWIRE_REDIS_URL"]
    with pytest.raises(SystemExit, match=message):
        read_env(environment)


def test_no_secret_stands_in_a_representation():
    """A traceback that shows the settings must not show a password."""
    shown = repr(
        read(REDIS_URL="redis://:hunter2@h", DATABASE_URL="postgres://u:hunter2@h/d", SECRET_KEY="hunter2" * 9)
    )
    assert "hunter2" not in shown
