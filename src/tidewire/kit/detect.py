"""The defaults of the questions of `tidewire init`: settings, application, paths of sockets, requirements.

Files are parsed and nothing is imported, because an import may need variables, services or packages.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tidewire.kit import InitError

# The modules that may name the settings, the one that is meant for production first.
_NAMING = ("asgi.py", "wsgi.py", "manage.py")
_NAMED = re.compile(r"""["']DJANGO_SETTINGS_MODULE["']\s*,\s*["']([\w.]+)["']""")
_REQUIREMENTS = (
    "requirements/production.txt",
    "requirements/prod.txt",
    "requirements.txt",
    "requirements/base.txt",
    "requirements/requirements.txt",
)
# The part of a route or of a regular expression before anything that varies.
_FIXED = re.compile(r"[A-Za-z0-9_.-]*")
# Directories of packages, which have routes of their own.
_SKIPPED = {"node_modules", "site-packages", "venv", ".venv", "env", ".git", "migrations", "tests"}
_NAME_LENGTH = 40
# Folders of a repository that has a user interface or documents besides.
_ROLES = {"api", "app", "backend", "django", "mysite", "project", "server", "src", "web"}


class Detected(NamedTuple):
    """The defaults of the questions, and the answer that is not asked."""

    name: str
    settings: str
    application: str
    sockets: str
    requirements: str
    outbox: bool


def detect(directory: Path) -> Detected:
    """Read the project in a directory. Raises `InitError` if the directory has no project."""
    if not (directory / "manage.py").is_file():
        below = sorted(path.parent.relative_to(directory) for path in directory.glob("*/manage.py"))
        remedy = f"tidewire init {below[0]}" if below else "run it where manage.py is, or name that folder"
        raise InitError(f"{directory} has no manage.py: {remedy}")
    settings = _settings(directory)
    values = constants(directory, settings)
    return Detected(
        name=slug(_own_name(directory)),
        settings=settings,
        application=_application(directory, values.get("ASGI_APPLICATION"), settings),
        sockets=" ".join(sorted(_first_parts(directory))),
        requirements=next((name for name in _REQUIREMENTS if (directory / name).is_file()), ""),
        outbox="tidewire" in values.get("INSTALLED_APPS", ()),
    )


def _own_name(directory: Path) -> str:
    """Return the folder's name, or the repository's where the folder has the name of its role."""
    is_role = directory.name.lower() in _ROLES and (directory.parent / ".git").exists()
    return directory.parent.name if is_role else directory.name


def slug(name: str) -> str:
    """Return a name that images, containers and namespaces accept."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-0123456789")[:_NAME_LENGTH].rstrip("-") or "project"


def constants(directory: Path, module: str) -> dict[str, Any]:
    """Return the settings that a module and those that it imports by a star set to literals; lists as far as known."""
    values: dict[str, Any] = {}
    for statement in (each for tree in modules(directory, module) for each in tree.body):
        if isinstance(statement, ast.Assign | ast.AugAssign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for target in targets:
                if isinstance(target, ast.Name) and statement.value is not None:
                    known = _literal(statement.value)
                    before = values.get(target.id)
                    is_more = isinstance(statement, ast.AugAssign) and isinstance(before, list)
                    values[target.id] = [*(before or []), *(known or [])] if is_more else known
    return {name: value for name, value in values.items() if value is not None}


def modules(directory: Path, module: str) -> Iterator[ast.Module]:
    """Yield the parsed module, after those that it imports by a star."""
    tree = _tree(_path(directory, module))
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom) and any(alias.name == "*" for alias in statement.names):
            imported = _absolute(statement, directory, module)
            if imported != module:
                yield from modules(directory, imported)
    yield tree


def _settings(directory: Path) -> str:
    files = [path for name in _NAMING for path in sorted(directory.glob(f"*/{name}") if name != "manage.py" else [])]
    for path in [*files, directory / "manage.py"]:
        found = _NAMED.search(path.read_text(encoding="utf-8", errors="replace"))
        if found and _path(directory, found[1]).is_file():
            return found[1]
    raise InitError(f"no module of {directory} names settings that exist: set DJANGO_SETTINGS_MODULE in its asgi.py")


def _application(directory: Path, named: Any, settings: str) -> str:
    """Return ASGI_APPLICATION as module:name, or the usual module beside the settings."""
    if isinstance(named, str) and "." in named:
        module, _, name = named.rpartition(".")
        return f"{module}:{name}"
    package = settings.partition(".")[0]
    for path in (directory / package / "asgi.py", *sorted(directory.glob("*/asgi.py"))):
        if path.is_file():
            return f"{path.parent.name}.asgi:application"
    raise InitError(f"{settings} has no ASGI_APPLICATION, and no folder has an asgi.py: sockets need one")


def _first_parts(directory: Path) -> set[str]:
    """Return the first parts of the paths of sockets: `chat` of `chat/<room>/`. Nothing for a path that only varies."""
    parts: set[str] = set()
    for path in _sources(directory):
        text = path.read_text(encoding="utf-8", errors="replace")
        if "as_asgi" in text or "URLRouter" in text:
            parts.update(_routed(_tree(path)))
    # One socket at any path: each path may be a socket's.
    return set() if "" in parts else parts


def _routed(tree: ast.AST) -> Iterator[str]:
    inner = {
        id(call)
        for node in ast.walk(tree)
        if _is_route(node) and _names(node.args[1]) == "URLRouter"  # type: ignore[attr-defined]
        for call in ast.walk(node.args[1])  # type: ignore[attr-defined]
    }
    for node in ast.walk(tree):
        if not _is_route(node) or id(node) in inner:
            continue
        assert isinstance(node, ast.Call)
        pattern = _literal(node.args[0])
        if isinstance(pattern, str) and _names(node.args[1]) in ("as_asgi", "URLRouter"):
            route = pattern.lstrip("^").lstrip("/")
            fixed = _FIXED.match(route)
            first = fixed[0] if fixed else ""
            # A part that goes on with something that varies is none.
            yield first if route[len(first) :][:1] in ("/", "$", "") else ""


def _is_route(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and len(node.args) > 1 and _called(node.func) in ("path", "re_path", "url")


def _names(node: ast.AST) -> str:
    """Return the name of the innermost call that makes a route's target: as_asgi, URLRouter or another."""
    names = [_called(call.func) for call in ast.walk(node) if isinstance(call, ast.Call)]
    return next((name for name in ("URLRouter", "as_asgi") if name in names), "")


def _called(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _sources(directory: Path) -> Iterator[Path]:
    for path in sorted(directory.rglob("*.py")):
        if _SKIPPED.isdisjoint(path.relative_to(directory).parts):
            yield path


def _tree(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return ast.Module(body=[], type_ignores=[])


def _path(directory: Path, module: str) -> Path:
    path = directory.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _absolute(statement: ast.ImportFrom, directory: Path, module: str) -> str:
    if not statement.level:
        return statement.module or ""
    is_package = directory.joinpath(*module.split(".")).is_dir()
    parents = module.split(".")[: None if is_package and statement.level == 1 else is_package - statement.level]
    return ".".join([*parents, *filter(None, [statement.module])])


def _literal(node: ast.AST) -> Any:
    """Return a literal's value; of a list the texts in it, because an entry may be computed."""
    if isinstance(node, ast.List | ast.Tuple):
        return [each.value for each in node.elts if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    return node.value if isinstance(node, ast.Constant) else None
