"""Changes of the owner's files: each is shown, and only an agreed one is made."""

import codecs

import pytest

pytest.importorskip("copier", reason="kit: no copier on this machine; `make setup` installs it")

from packaging.specifiers import SpecifierSet

from tidewire.kit import edits

NEEDED = {"django": SpecifierSet(">=5.2"), "channels": SpecifierSet(">=4.2"), "asgiref": SpecifierSet("<4,>=3.9.1")}


@pytest.fixture(autouse=True)
def needed(monkeypatch):
    monkeypatch.setattr(edits, "_needed", lambda: NEEDED)


def only(directory, name="requirements.txt"):
    [edit] = [each for each in edits.edits(directory, "config", "requirements.txt") if each.path.name == name]
    return edit


def test_a_version_that_is_too_old_is_replaced_and_all_else_stays(tmp_path):
    text = "-r base.txt\nDjango==4.2.6  # LTS\nchannels[daphne]==4.0.0 ; python_version > '3'\nrequests==2.31\n\n"
    (tmp_path / "requirements.txt").write_text(text)
    after = only(tmp_path).after
    assert after.splitlines()[0] == "-r base.txt"
    assert "Django>=5.2  # LTS\n" in after
    assert 'channels[daphne]>=4.2; python_version > "3"\n' in after
    assert after.endswith("requests==2.31\n\n")


@pytest.mark.parametrize(
    "line", ["Django", "Django==5.2.7", "Django>=4.2", "asgiref==3.10.0", "Django @ https://e.org/d.zip"]
)
def test_a_version_that_fits_stays(tmp_path, line):
    (tmp_path / "requirements.txt").write_text(f"{line}\n")
    assert [each.path.name for each in edits.edits(tmp_path, "config", "requirements.txt")] == ["Makefile"]


@pytest.mark.parametrize("line", ["Django<5", "Django~=4.2.0", "Django==4.*", "Django>=3,<5.1"])
def test_a_range_that_excludes_every_version_is_replaced(tmp_path, line):
    (tmp_path / "requirements.txt").write_text(f"{line}\n")
    assert only(tmp_path).after == "Django>=5.2\n"


def test_a_list_of_windows_is_read_and_its_packages_stay_there(tmp_path):
    text = "Django==5.2.7\r\ntwisted-iocpsupport==1.0.4\r\n"
    (tmp_path / "requirements.txt").write_bytes(codecs.BOM_UTF16_LE + text.encode("utf-16-le"))
    assert 'twisted-iocpsupport==1.0.4 ; sys_platform == "win32"\r\n' in only(tmp_path).after


def test_a_makefile_gets_one_line_once(tmp_path):
    (tmp_path / "Makefile").write_text("all:\n\techo")
    edit = only(tmp_path, "Makefile")
    assert edit.after == "all:\n\techo\ninclude deploy/kit.mk\n"
    edits.make(edit, tmp_path, is_agreed=lambda _question: True, show=lambda _text: None)
    assert list(edits.edits(tmp_path, "config", "")) == []


def test_variables_that_the_settings_require_are_listed_with_their_examples(tmp_path):
    (tmp_path / "config.py").write_text(
        'KEY = config("KEY")\nDEBUG = config("DEBUG", cast=bool)\nA = config("A", default="")\nB = env.bool("B")\n'
        'C = os.environ["C"]\nD = os.environ.get("D")\nE = env("E", default=1)\nos.environ["F"] = "1"\n'
        'G = os.getenv("G")\n'
    )
    (tmp_path / ".env.example").write_text("# an example\nDEBUG = 'False'\nOTHER=1\n")
    (tmp_path / "deploy").mkdir()
    edit = only(tmp_path, "project.env")
    assert [line for line in edit.after.splitlines() if not line.startswith("#")] == ["KEY=", "DEBUG=False", "B=", "C="]
    edit.path.write_text(edit.after.replace("KEY=", "KEY=mine"))
    assert [each.path.name for each in edits.edits(tmp_path, "config", "")] == ["Makefile"]


def test_a_change_that_is_not_agreed_is_shown_and_not_made(tmp_path):
    (tmp_path / "requirements.txt").write_text("Django==4.2\n")
    shown, asked = [], []

    def refuse(question):
        asked.append(question)
        return False

    assert not edits.make(only(tmp_path), tmp_path, is_agreed=refuse, show=shown.append)
    assert "-Django==4.2\n+Django>=5.2\n" in "".join(shown)
    assert asked[0].endswith("Change requirements.txt?")
    assert (tmp_path / "requirements.txt").read_text() == "Django==4.2\n"


REQUIRED = {
    "tidewire": ["Django>=5.2", "pydantic>=2", 'daphne>=4.2; extra == "daphne"', 'copier>=9; extra == "init"'],
    "daphne": ["twisted[tls]>=22.4"],
    "twisted": ["attrs>=22", 'pyopenssl>=30; extra == "tls"', 'colorama>=1; sys_platform == "none"'],
    "django": ["asgiref>=3.9.1"],
    "pydantic": ["typing-extensions>=5"],
}


@pytest.fixture
def required(monkeypatch):
    """Return `required(list of requirements)`: the lines that are changed, with these packages installed."""
    monkeypatch.undo()
    monkeypatch.setattr(edits.importlib.metadata, "requires", lambda name: REQUIRED.get(name, []))
    monkeypatch.setattr(edits, "_installed", lambda _name: [])

    def changed(directory, before):
        (directory / "requirements.txt").write_text(before)
        found = [each for each in edits.edits(directory, "config", "requirements.txt") if each.path.name != "Makefile"]
        return set(found[0].after.split()) - set(before.split()) if found else set()

    return changed


def test_packages_behind_a_replaced_one_have_no_exact_version(tmp_path, required):
    """The installer must be free to choose them: Django 5.2 needs a newer asgiref than Django 4.2."""
    before = "asgiref==3.7.2\ndaphne==4.0\ntwisted==22.10\npyOpenSSL==25\nattrs~=25.0\ncolorama==0.4\n"
    changed = required(tmp_path, f"{before}Django==4.2\ntyping_extensions==4.14\ncopier==8\n")
    assert changed == {"Django>=5.2", "asgiref>=3.7.2", "daphne>=4.2", "twisted>=22.10", "pyOpenSSL>=25"}


def test_versions_that_fit_are_left_to_the_installer(tmp_path, required):
    before = "Django==5.2.3\nasgiref==3.8.1\ndaphne==4.2.0\ntwisted==22.10\ntyping_extensions==4.14\n"
    assert required(tmp_path, before) == set()
