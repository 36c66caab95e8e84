"""`tidewire init` in a repository: made once, updated, and the owner's changes kept."""

import sys

import pytest

pytest.importorskip("copier", reason="kit: no copier on this machine; `make setup` installs it")

from deploy.kit import generate
from tests.unit.deploy import kit_projects as projects
from tidewire.kit.command import init


@pytest.fixture
def templates(tmp_path):
    generate.write(tmp_path / "templates")
    return tmp_path / "templates"


@pytest.fixture
def project(tmp_path):
    return projects.make(tmp_path / "racing-club")


@pytest.fixture
def run(templates, project, capsys):
    """Return `run(*arguments)`: the status, and the text on standard output and error."""

    def command(*arguments):
        status = init(["--yes", *arguments, str(project)], templates=templates)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return command


@pytest.fixture
def newer(templates):
    """Return `newer(file, old, new)`: a next version of tidewire has another text."""

    def change(name, old, new):
        path = templates / "project" / f"{name}.jinja"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return change


def everything(directory):
    files = (path for path in directory.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}


def test_a_second_run_changes_nothing(run, project):
    before = everything(project)
    assert run()[0] == 0
    made = everything(project)
    assert {name: made[name] for name in before} == before, "a file of the owner's was changed"
    status, out, _ = run()
    assert (status, everything(project)) == (0, made), "also before the first commit"
    assert "nothing to change" in out
    projects.commit(project)
    assert run()[0] == 0
    assert projects.git(project, "status", "--porcelain") == ""


def test_the_folder_can_be_below_the_repository(tmp_path, templates, newer):
    whole = projects.make(tmp_path / "whole", {f"backend/{name}": text for name, text in projects.FILES.items()})
    assert init(["--yes", str(whole / "backend")], templates=templates) == 0
    projects.commit(whole)
    newer("deploy/gunicorn.conf.py", "timeout = 30\n", "timeout = 31\n")
    assert init(["--yes", str(whole / "backend")], templates=templates) == 0
    assert "timeout = 31\n" in (whole / "backend/deploy/gunicorn.conf.py").read_text()
    assert not (whole / "deploy").exists()


def test_an_update_keeps_the_owners_changes(run, project, newer):
    run()
    settings = project / "deploy" / "settings.py"
    settings.write_text(settings.read_text() + '\nEMAIL_HOST = "mail.example.com"\n')
    (project / "deploy" / "nginx" / "reload.sh").unlink()
    projects.commit(project)
    newer("deploy/gunicorn.conf.py", "timeout = 30\n", "timeout = 31\n")
    newer("deploy/settings.py", "DEBUG = False\n", "DEBUG = False\nAPPEND_SLASH = True\n")
    status, out, err = run()
    assert (status, err) == (0, "")
    assert "git diff shows what changed" in out
    assert "timeout = 31\n" in (project / "deploy/gunicorn.conf.py").read_text()
    assert "APPEND_SLASH" in settings.read_text()
    assert settings.read_text().endswith('EMAIL_HOST = "mail.example.com"\n')
    assert not (project / "deploy/nginx/reload.sh").exists(), "the owner has deleted it"
    assert projects.git(project, "status", "--porcelain", "--", ":!deploy") == ""
    projects.commit(project)
    assert "nothing to change" in run()[1]


def test_each_update_starts_from_the_one_before(run, project, newer):
    run()
    projects.commit(project)
    for seconds in (31, 32):
        newer("deploy/gunicorn.conf.py", f"\ntimeout = {seconds - 1}\n", f"\ntimeout = {seconds}\n")
        assert run()[0] == 0
        projects.commit(project)
    assert "\ntimeout = 32\n" in (project / "deploy/gunicorn.conf.py").read_text()


def test_a_conflict_has_both_forms_and_is_named(run, project, newer):
    run()
    config = project / "deploy" / "gunicorn.conf.py"
    config.write_text(config.read_text().replace("\ntimeout = 30\n", "\ntimeout = 120\n"))
    projects.commit(project)
    newer("deploy/gunicorn.conf.py", "\ntimeout = 30\n", "\ntimeout = 31\n")
    status, _, err = run()
    assert status == 1
    assert "deploy/gunicorn.conf.py: each has both forms" in err
    assert {"timeout = 120", "timeout = 31"} <= set(config.read_text().splitlines())


def test_an_answer_can_be_changed(run, project):
    run()
    projects.commit(project)
    assert run("--data", "sockets=live")[0] == 0
    assert 'location ~ "^/live/"' in (project / "deploy/nginx/tidewire.conf.template").read_text()


def test_a_project_that_now_has_an_outbox_gets_a_relay(run, project):
    run()
    settings = project / "racing" / "settings.py"
    settings.write_text(settings.read_text().replace('"chat"]', '"chat", "tidewire"]'))
    projects.commit(project)
    assert run()[0] == 0
    assert (project / "deploy/k8s/base/relay.yaml").exists()


def test_a_repository_with_changes_is_not_updated(run, project, newer):
    run()
    newer("deploy/gunicorn.conf.py", "timeout = 30\n", "timeout = 31\n")
    before = everything(project)
    assert run()[::2] == (
        2,
        "tidewire init: the repository has changes that are not committed: commit or stash them, then update\n",
    )
    assert everything(project) == before


def test_a_folder_that_is_no_repository_is_named(tmp_path, templates, capsys):
    directory = tmp_path / "alone"
    for name, text in projects.FILES.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert init(["--yes", str(directory)], templates=templates) == 2
    assert capsys.readouterr().err.endswith("could not tell your changes from its own: git init\n")
    assert not (directory / "deploy").exists()


def test_a_file_of_the_owners_is_never_overwritten(run, project):
    (project / "deploy").mkdir()
    (project / "deploy" / "compose.yaml").write_text("services: {}\n")
    before = everything(project)
    status, _, err = run()
    assert (status, everything(project)) == (2, before)
    assert err.startswith("tidewire init: deploy/compose.yaml exists already and is not tidewire's: ")


def test_a_file_that_git_ignores_is_named(run, project):
    (project / ".gitignore").write_text("*.env\nlib/\nwheels/\nbuild/\ndist/\n*.conf\n")
    assert "your .gitignore excludes deploy/nginx/nginx.conf: git add --force\n" in run()[1]


def test_a_wrong_answer_is_one_line(run):
    assert run("--data", "name")[::2] == (2, "tidewire init: --data name has no value: name it as NAME=VALUE\n")
    status, _, err = run("--data", "name=Not A Name")
    assert (status, err.count("\n")) == (2, 1)
    assert "lower-case letters" in err


def test_answers_that_cannot_be_read_are_named(run, project):
    run()
    (project / "deploy/.tidewire.yml").write_text("<<<<<<<\n")
    status, _, err = run()
    assert (status, err.count("\n")) == (2, 1)
    assert "deploy/.tidewire.yml cannot be read" in err


def test_without_its_extra_one_line_has_the_command(project, templates, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "copier", None)
    assert init(["--yes", str(project)], templates=templates) == 2
    assert capsys.readouterr().err == (
        "tidewire init: it needs copier, which is not installed: pip install 'tidewire[init]'\n"
    )


def test_without_a_terminal_nothing_is_asked(project):
    done = projects.init(project)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
