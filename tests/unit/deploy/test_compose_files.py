"""deploy.compose.files and the record of a replacement on a real file system."""

from pathlib import Path

import pytest

from deploy.compose import files
from deploy.compose.engine import Stop
from deploy.compose.make_secrets import main as make_secrets
from deploy.compose.record import Interrupted, Record, of_project
from deploy.compose.upgrade import locked


def test_record_is_read_again_until_its_end(tmp_path):
    record = Record(tmp_path / "var" / "replacing.json")
    assert record.read() is None
    record.write({"web": "a", "ws": "b"}, {"web": 1, "ws": 2, "relay": 1})
    assert record.read() == Interrupted({"web": "a", "ws": "b"}, {"web": 1, "ws": 2, "relay": 1})
    record.end()
    record.end()
    assert record.read() is None
    assert list((tmp_path / "var").iterdir()) == []


def test_each_project_has_its_own_record():
    paths = {of_project(each).path for each in ({}, {"COMPOSE_PROJECT_NAME": ""}, {"COMPOSE_PROJECT_NAME": "test"})}
    assert {path.name for path in paths} == {"tidewire.replacing.json", "test.replacing.json"}


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"images": 3, "numbers": {}}', '{"images": {}}'])
def test_record_that_cannot_be_read_is_none(tmp_path, text):
    (tmp_path / "record").write_text(text)
    assert Record(tmp_path / "record").read() is None


@pytest.mark.parametrize("text", ["longer than before", "short", "with $, %, \" and ' \n and \u00fc"])
def test_file_that_is_overwritten_is_the_same_file(tmp_path, text):
    path = tmp_path / "secret"
    path.write_text("twelve bytes", encoding="utf-8")
    inode = path.stat().st_ino
    files.overwrite(path, text)
    assert path.read_text(encoding="utf-8") == text
    assert path.stat().st_ino == inode


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_secret_that_cannot_be_written_is_written_by_the_next_attempt(tmp_path):
    (tmp_path / "TIDEWIRE_SECRET_KEY.part").symlink_to("/dev/full")
    with pytest.raises(SystemExit, match="TIDEWIRE_SECRET_KEY cannot be written: No space left"):
        make_secrets(tmp_path)
    (tmp_path / "TIDEWIRE_SECRET_KEY.part").unlink()
    make_secrets(tmp_path)
    assert len((tmp_path / "TIDEWIRE_SECRET_KEY").read_text()) > 50


def test_directory_of_another_user_is_named(tmp_path):
    (tmp_path / "lock").mkdir()
    with pytest.raises(Stop, match="lock cannot be used: Is a directory"), locked(tmp_path / "lock"):
        pass


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_file_that_cannot_be_written_is_not_there(tmp_path):
    (tmp_path / "x.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        files.replace(tmp_path / "x", "text")
    assert not (tmp_path / "x").exists()
