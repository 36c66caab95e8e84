"""The check of prose finds texts in each kind of file, and reports each kind of planted mistake."""

from pathlib import Path

import pytest

from deploy.prose import __main__ as prose
from deploy.prose.texts import Text, texts_of

PYTHON = '''\
"""A module."""

# Two lines
# of one comment.
LIMIT = 1  # noqa: S101  # behind code
# Another comment.


class Settings:
    name: str
    """An attribute."""

    def url(self) -> str:
        return """no docstring""" + "# no comment"
'''


def read(path, content):
    path.write_text(content)
    return [(text.line, " ".join(text.prose.split())) for text in texts_of(path)]


def rows(content):
    """Return the names of the rows that a comment violates."""
    texts = {Path("a.py"): [Text(1, content)]}
    return {row.name for row in prose.ROWS if not row.is_met(texts)}


def test_texts_of_python(tmp_path):
    assert read(tmp_path / "a.py", PYTHON) == [
        (1, "A module."),
        (3, "Two lines of one comment."),
        (5, "# behind code"),
        (6, "Another comment."),
        (11, "An attribute."),
    ]


def test_texts_of_javascript(tmp_path):
    content = 'const url = "http://x"; // behind code\n\n// First\n// second\n/**\n * A function.\n */\nf();\n'
    assert read(tmp_path / "a.js", content) == [(1, "behind code"), (3, "First second"), (5, "A function.")]


def test_texts_of_lua_and_css(tmp_path):
    assert read(tmp_path / "a.lua", "-- Returns 1\n-- or 0\nreturn n - -1\n") == [(1, "Returns 1 or 0")]
    assert read(tmp_path / "a.css", "/* A rule. */\na { color: red }\n") == [(1, "A rule.")]


@pytest.mark.parametrize("name", ["a.yaml", "a.toml", "a.sh", "a.conf.template", "Dockerfile", "Makefile"])
def test_texts_of_configuration(tmp_path, name):
    content = "#!/bin/sh\n# First\n# second\nkey: a#b # behind\n  # An item.\n"
    assert read(tmp_path / name, content) == [(1, "/bin/sh First second"), (4, "behind"), (5, "An item.")]


def test_each_file_of_configuration_is_read():
    """The comments of manifests, of nginx and of compose kept words that all other files had lost."""
    paths = {path.as_posix() for path in prose.read("deploy")}
    assert paths >= {
        *("compose.yaml", "Makefile", "pyproject.toml", ".github/workflows/ci.yml", "requirements/dev.in"),
        *("deploy/nginx/tidewire.conf.template", "deploy/k8s/base/ws.yaml", "deploy/prometheus/rules/nodes.yml"),
    }
    assert "services/ws/Dockerfile" in {path.as_posix() for path in prose.read("services")}


def test_a_document_is_read_without_code(tmp_path):
    content = "Run `who` [here](https://told.example/nobody)\n\n```\nnobody\n```\nat once.\n"
    assert read(tmp_path / "a.md", content) == [(1, "Run [here] at once.")]


@pytest.mark.parametrize(
    ("comment", "row"),
    [
        ("A client whose socket is full may wait.", "who, whoever, whose"),
        ("The value can be read by nobody.", "nobody, somebody, everybody"),
        ("The log must say so, as the test says.", "told, tells, says, said"),
        ("May keep what the node has.", '"what X does" as a noun'),
        ("The node keeps its sockets open.", "must, should, can, may"),
        ("It must be open.", "comments with It, One, Who ... first, %"),
    ],
)
def test_each_row_has_a_limit(comment, row):
    assert row in rows(comment)


def test_a_plain_comment_meets_all_limits():
    assert rows("A slow client must be disconnected. What does it cost?") == set()


def test_words_and_misspellings_are_found_by_their_line():
    problems = prose.misspellings({Path("src/a.py"): [Text(3, "  Nobody is\n  recieved.")]})
    assert problems == ["src/a.py:3: Nobody ==> No client, No process", "src/a.py:4: recieved ==> received"]


def test_a_fault_in_a_checked_directory_fails(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(prose, "ROOT", tmp_path)
    monkeypatch.setattr(prose, "DOCUMENTS", ())
    monkeypatch.setattr(prose, "CONFIGURATION", ())
    for name in (directory for directories in prose.CHECKED.values() for directory in directories):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.py").write_text("# A client must wait.\n")
    (tmp_path / "docs" / "a.md").write_text("A client must wait.\n")
    assert prose.main() == 0
    (tmp_path / "src" / "a.py").write_text("# A client must wait.\n\n# Nobody waits.\n")
    assert prose.main() == 1
    assert "src: nobody, somebody, everybody: 166.67, at most 0\n  src/a.py:3\n" in capsys.readouterr().out
