"""deploy.compose.env_file: the commands see the settings of .env as docker compose does."""

import pytest

from deploy.compose.engine import Engine
from deploy.compose.env_file import environment, main, settings


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("TIDEWIRE_VERSION=live", "live"),
        ("TIDEWIRE_VERSION=live\r\nOTHER=1\r\n", "live"),
        ("\ufeffTIDEWIRE_VERSION=live", "live"),
        ("export TIDEWIRE_VERSION = 'live'  # the tag", "live"),
        ('TIDEWIRE_VERSION="live"', "live"),
        ("TIDEWIRE_VERSION: live", "live"),
        ("TIDEWIRE_VERSION=live # not a#b", "live"),
        ("TIDEWIRE_VERSION=a\nTIDEWIRE_VERSION=live", "live"),
        ("#TIDEWIRE_VERSION=dead\nTIDEWIRE_VERSION=live", "live"),
        ("TIDEWIRE_SECRETS=/srv/my secrets", None),
    ],
)
def test_value_is_read_as_compose_reads_it(tmp_path, text, value):
    path = tmp_path / ".env"
    path.write_bytes(text.encode())
    assert settings(path).get("TIDEWIRE_VERSION") == value


def test_blanks_of_a_path_are_kept(tmp_path):
    (tmp_path / ".env").write_text("TIDEWIRE_SECRETS=/srv/my secrets\n")
    assert settings(tmp_path / ".env") == {"TIDEWIRE_SECRETS": "/srv/my secrets"}


def test_value_that_only_compose_can_read_is_refused(tmp_path):
    (tmp_path / ".env").write_text("TIDEWIRE_SECRETS=$HOME/secrets\nOTHER='$5'\n")
    with pytest.raises(SystemExit, match=r"TIDEWIRE_SECRETS must be a plain value here.*\$HOME/secrets"):
        settings(tmp_path / ".env")


def test_variable_of_the_shell_has_priority_even_if_it_is_empty(tmp_path):
    (tmp_path / ".env").write_text("TIDEWIRE_VERSION=live\nTIDEWIRE_SECRETS=/a\n")
    assert environment(tmp_path / ".env", {"TIDEWIRE_VERSION": ""}) == {
        "TIDEWIRE_VERSION": "",
        "TIDEWIRE_SECRETS": "/a",
    }


def test_engine_has_them(tmp_path, monkeypatch, capsys):
    (tmp_path / ".env").write_text("TIDEWIRE_VERSION=live\n")
    monkeypatch.delenv("TIDEWIRE_VERSION", raising=False)
    monkeypatch.setattr("deploy.compose.env_file.PATH", tmp_path / ".env")
    assert Engine().environment["TIDEWIRE_VERSION"] == "live"
    monkeypatch.setattr("sys.argv", ["env_file", "TIDEWIRE_VERSION", "dev"])
    assert main() == 0
    assert capsys.readouterr().out == "live\n"
