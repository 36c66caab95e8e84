"""The prose of a file: its comments and docstrings, or the text of a Markdown document."""
# ruff: noqa: INP001 - deploy/ is no package; found from the root

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# A comment behind code must have a space before and after its mark, which a URL in a string does not have.
HASH_COMMENT = re.compile(r"(?:^[ \t]*#.*\n?)+|(?<= )# .*", re.MULTILINE)
COMMENT = {
    ".js": re.compile(r"/\*(?:.|\n)*?\*/|(?:^[ \t]*//.*\n?)+|(?<= )// .*", re.MULTILINE),
    ".lua": re.compile(r"(?:^[ \t]*--.*\n?)+", re.MULTILINE),
    ".css": re.compile(r"/\*(?:.|\n)*?\*/"),
    **dict.fromkeys((".conf", ".in", ".sh", ".template", ".toml", ".yaml", ".yml"), HASH_COMMENT),
}
CODE_SUFFIXES = (".py", *COMMENT)
# Files without a suffix.
CODE_NAMES = ("Dockerfile", "Makefile")
# Code in backticks, instructions to other tools, and the marks of a comment at the start of its lines.
NO_PROSE = re.compile(
    r"``.+?``|`[^`\n]*`"
    r"|(?:ruff: )?noqa(?:: ?[A-Z]+\d+(?:, ?[A-Z]+\d+)*)?|type: ignore(?:\[[^\]]*\])?|nosec \w+"
    r"|^[ \t]*(?:/\*+|\*(?![/\w])|//|--|#+!?)|\*/|\"\"\"",
    re.MULTILINE,
)
NO_PROSE_IN_MARKDOWN = re.compile(
    r"^ *```.*?^ *```|(?<=\])\([^)\s]*\)|<!--.*?-->|https?://\S+", re.MULTILINE | re.DOTALL
)


class Text(NamedTuple):
    """A comment, a docstring or a whole document from `line` on. Code and marks are replaced by spaces."""

    line: int
    prose: str


def texts_of(path: Path) -> list[Text]:
    """Return the texts of a file in their order."""
    source = path.read_text("utf-8")
    if path.suffix == ".md":
        texts = [Text(1, _blank(NO_PROSE_IN_MARKDOWN, source))]
    elif path.suffix == ".py":
        texts = [*_comments(source), *_docstrings(source)]
    else:
        comments = COMMENT.get(path.suffix, HASH_COMMENT).finditer(source)
        texts = [Text(source.count("\n", 0, comment.start()) + 1, comment[0]) for comment in comments]
    return sorted(Text(line, _blank(NO_PROSE, text)) for line, text in texts)


def _blank(pattern: re.Pattern[str], text: str) -> str:
    """Replace each match by spaces, so that lines keep their numbers."""
    return pattern.sub(lambda match: re.sub(r"\S", " ", match[0]), text)


def _comments(source: str) -> Iterator[Text]:
    """Yield the comments of a Python file. Comments on consecutive lines without code are one text."""
    lines = source.splitlines()
    block: list[str] = []
    first = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        row, column = token.start
        if lines[row - 1][:column].strip():
            yield Text(row, token.string)
            continue
        if block and row != first + len(block):
            yield Text(first, "\n".join(block))
            block = []
        first = row - len(block)
        block.append(token.string)
    if block:
        yield Text(first, "\n".join(block))


def _docstrings(source: str) -> Iterator[Text]:
    """Yield the strings of a Python file that are statements, which includes the docstrings of attributes."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield Text(node.lineno, "\n".join(lines[node.lineno - 1 : node.end_lineno]))
