"""`make test-matrix`: the library's tests over the corners of the supported versions; writes docs/compatibility.md.

The oldest of everything, the newest of everything and some between, each on an interpreter that this machine has.
"""

import dataclasses
import datetime as dt
import json
import platform
from pathlib import Path
from xml.etree import ElementTree as ET  # pytest's own report

import nox
import uv

from deploy.local import programs

nox.needs_version = ">=2026.8"
nox.options.default_venv_backend = "uv"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False
nox.options.envdir = "var/matrix"

PAGE = Path("docs/compatibility.md")
BEGIN, END = "<!-- make test-matrix writes from here ... -->\n", "<!-- ... to here -->\n"
LIBRARY = ("tests/unit/tidewire", "tests/contract", "tests/integration/tidewire")
# Packages for the tests besides the library: their own tools, and those that the settings of the kit import.
TOOLS = (
    *("pytest", "pytest-django", "pytest-asyncio", "pytest-xdist", "hypothesis", "uvicorn", "websockets", "psutil"),
    *("pydantic-settings", "dj-database-url", "psycopg[binary]", "django-bulma", "django-axes", "django-csp"),
    *("confusable-homoglyphs", "gunicorn", "pyyaml"),
)
COLUMNS = {
    "Django": "django",
    "Channels": "channels",
    "channels-redis": "channels-redis",
    "redis-py": "redis",
    "Daphne": "daphne",
    "Twisted": "twisted",
    "autobahn": "autobahn",
    "uvloop": "uvloop",
    "pydantic": "pydantic",
}


@dataclasses.dataclass(frozen=True)
class Corner:
    """A choice of versions, the interpreters that try it, and the tests that they run."""

    name: str
    pythons: tuple[str, ...]
    packages: tuple[str, ...] = ()
    resolution: str = "highest"
    uvloop: bool = True
    tests: tuple[str, ...] = LIBRARY


CORNERS = (
    # Every package at the lower bound that pyproject.toml names.
    Corner("oldest", ("3.11",), resolution="lowest-direct"),
    Corner("lts", ("3.12", "3.14"), ("Django==5.2.*", "channels==4.2.*", "redis==6.*")),
    Corner("middle", ("3.13",), ("Django==6.0.*", "redis==7.*")),
    Corner("newest", ("3.11", "3.12", "3.13", "3.14")),
    Corner("newest-without-uvloop", ("3.14",), uvloop=False),
    # The kit is pinned to the newest LTS of Django; here its services run on the newest release.
    Corner("kit", ("3.14",), tests=("tests/unit/dashboard", "tests/unit/web", "tests/unit/ws")),
)

# The packages of `pip list`, and the version of Python.
LIST = (
    "import importlib.metadata as m, json, platform;"
    "versions = {d.name.lower().replace('_', '-'): d.version for d in m.distributions()};"
    "print(json.dumps(versions | {'python': platform.python_version()}))"
)


def try_corner(corner: Corner, session: nox.Session) -> None:
    """Install a corner, run its tests, and keep its row of the table for `table`."""
    row = Path(session.create_tmp()) / "row.json"
    python = str(session.python)
    keep(session, row, [corner.name, python, *("" for _ in COLUMNS), "**not installed**"])
    session.install("--resolution", corner.resolution, "-r", "pyproject.toml", "--extra", "daphne", *corner.packages)
    session.install(*TOOLS)
    if not corner.uvloop:
        session.run_install(uv.find_uv_bin(), "pip", "uninstall", "uvloop", external=True)
    versions = json.loads(str(session.run("python", "-c", LIST, silent=True)))
    report = row.with_name("report.xml")
    report.unlink(missing_ok=True)
    arguments = ("-n", "4", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *session.posargs)
    session.run("python", "-m", "pytest", *corner.tests, *arguments, success_codes=range(6))
    counts = ET.parse(report).getroot()[0].attrib if report.exists() else {}  # noqa: S314  # as above
    tests, failures, errors, skipped = (int(counts.get(name, 0)) for name in ("tests", "failures", "errors", "skipped"))
    failed = failures + errors + (not tests)
    result = f"{tests - failures - errors - skipped} passed" + (f", **{failed} failed**" if failed else "")
    keep(session, row, [corner.name, versions["python"], *(versions.get(n, "none") for n in COLUMNS.values()), result])
    if failed:
        session.error(result)


def keep(session: nox.Session, file: Path, row: list[str]) -> None:
    file.write_text(json.dumps({"commit": commit(session), "row": row}), encoding="utf-8")


def commit(session: nox.Session) -> str:
    return str(session.run("git", "rev-parse", "--short", "HEAD", external=True, silent=True)).strip()


def register(corner: Corner) -> None:
    def run(session: nox.Session) -> None:
        try_corner(corner, session)

    nox.session(run, name=corner.name, python=list(corner.pythons))


for each in CORNERS:
    register(each)


@nox.session(venv_backend="none")
def table(session: nox.Session) -> None:
    """Write docs/compatibility.md from the corners that ran with this commit, and name those that did not."""
    head, rows, absent = commit(session), [], []
    for name, python in ((corner.name, python) for corner in CORNERS for python in corner.pythons):
        file = Path("var/matrix", f"{name}-{python.replace('.', '-')}", "tmp", "row.json")
        results = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        if results.get("commit") == head:
            rows.append(results["row"])
        else:
            absent.append(f"{name} on Python {python}")
    titles = ["corner", "Python", *COLUMNS, "tests"]
    redis = programs.REDIS.of_the_system() or programs.REDIS.of_the_wheel() or ("none",)
    today = dt.datetime.now(tz=dt.UTC).date()
    text = f"Measured on {today} with commit {head} on {platform.system()}; Redis {redis[0]}.\n\n"
    text += "".join(f"| {' | '.join(line)} |\n" for line in [titles, ["---"] * len(titles), *rows])
    if absent:
        text += f"\nNot run, for lack of the interpreter or of a request: {', '.join(absent)}.\n"
        session.warn(f"not run: {', '.join(absent)}")
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
