"""The variables that a project's settings require, and the values of its example file."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tidewire.kit.detect import modules

_EXAMPLES = (".env.example", ".env.sample", ".env.template", ".env.dist", "env.example")
# The readers of django-environ, python-decouple and the standard library that fail without a value.
_READERS = {"config", "env", "environ"}
_TYPES = {"str", "bool", "int", "float", "list", "json", "url", "db", "db_url", "cache", "cache_url", "tuple", "dict"}


def required(directory: Path, settings: str) -> dict[str, str]:
    """Return the variables without which the settings cannot be imported, with their example values or nothing."""
    examples = next((read(directory / name) for name in _EXAMPLES if (directory / name).is_file()), {})
    names = dict.fromkeys(name for tree in modules(directory, settings) for name in _named(tree))
    return {name: examples.get(name, "") for name in names}


def read(path: Path) -> dict[str, str]:
    """Return the lines NAME=value of a file."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    pairs = [line.partition("=") for line in lines if "=" in line and not line.startswith("#")]
    return {name.removeprefix("export ").strip(): value.strip().strip("\"'") for name, _, value in pairs}


def _named(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _is_reader(node.func) and len(node.args) == 1:
            argument = node.args[0]
            has_default = any(keyword.arg == "default" for keyword in node.keywords)
        elif isinstance(node, ast.Subscript) and _is_reader(node.value) and isinstance(node.ctx, ast.Load):
            argument, has_default = node.slice, False
        else:
            continue
        if not has_default and isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            yield argument.value


def _is_reader(node: ast.AST) -> bool:
    """Return whether a node is `config`, `env`, `env.bool` or `os.environ`."""
    if isinstance(node, ast.Attribute):
        is_typed = node.attr in _TYPES and _is_reader(node.value)
        return is_typed or node.attr == "environ"
    return isinstance(node, ast.Name) and node.id in _READERS
