"""The names in documents, alerts and dashboards exist, and all code of the product is used outside its tests."""

import ast
import inspect
import re
from collections import Counter
from importlib import import_module

import pytest
from prometheus_client.metrics import MetricWrapperBase

from deploy.local.layout import ROOT
from deploy.prometheus.metrics_page import declared, exported
from loadtest.run import load_metrics as load
from tidewire import metrics

# Files that people and Prometheus read. Figures of an earlier day keep the names of that day.
READ = sorted(
    path
    for pattern in (
        "README.md",
        "docs/**/*.md",
        "deploy/prometheus/**/*.yml",
        "deploy/grafana/**/*.json",
        "deploy/k8s/**/*.yaml",
    )
    for path in ROOT.glob(pattern)
)
# A name that is not a part of another name: a path, a recording rule or a module.
NAME = re.compile(r"(?<![\w:./$@-])tidewire_[a-z_]+\b(?!:)(\{[^}]*\})?")
LABEL = re.compile(r'(\w+)=~?"([^"]*)"')


def queried(name: str, kind: str) -> set[str]:
    return {f"{name}_{part}" for part in ("bucket", "sum", "count")} | {name} if kind == "histogram" else {name}


KNOWN = {name for metric in declared() for name in queried(exported(metric), metric.describe()[0].type)} | {
    name for each in load.DECLARED for name in queried(each.exported, each.kind)
}
# Names that are not metrics: a cookie, a schema of the database, a host of Docker.
OTHERS = {"tidewire_ticket", "tidewire_front", "tidewire_outboxevent", "tidewire_before_restore"}


def mentions():
    for path in READ:
        for mention in NAME.finditer(path.read_text(encoding="utf-8")):
            yield path.relative_to(ROOT).as_posix(), mention


def test_every_metric_that_is_named_exists():
    """I copied `tidewire_slow_closes` from the docs into an alert, which never fired: it ends in `_total`."""
    named = [(path, mention[0].partition("{")[0]) for path, mention in mentions()]
    assert len(named) > 200
    assert sorted({(path, name) for path, name in named if name not in KNOWN | OTHERS}) == []


def test_every_label_that_is_named_exists_with_that_value():
    """An alert on `{reason="hints"}`, a value that never occurs, never fires."""
    of = {name: metric for metric in declared() for name in queried(exported(metric), metric.describe()[0].type)}
    odd, checked = [], 0
    for path, mention in mentions():
        metric = of.get(mention[0].partition("{")[0])
        if metric is None or not mention[1]:
            continue
        for label, value in LABEL.findall(mention[1]):
            sets = metrics.VALUES.get(metric) or metrics.VALUES_PER_LABEL.get(metric)
            closed = label in metric._labelnames and sets is not None and label not in {"consumer", "topic"}
            # A pattern stands for several values, and a variable of a dashboard for any value.
            if closed and not value.startswith("$"):
                checked += 1
                if not any(re.fullmatch(value, each) for each in sets):
                    odd.append((path, mention[0]))
    assert checked > 10
    assert odd == []


# Functions that a framework calls by name or by a configured path, so that no base class declares them.
HOOKS = {
    *("ready", "clean", "handle", "add_arguments", "upgrade", "callback", "errback", "on_starting", "child_exit"),
    *("render_GET", "render_POST", "client_address", "reset_user_attempts", "get_failures"),
    # axes connects these to the signals of their names.
    *("user_login_failed", "user_logged_in", "user_logged_out"),
}
EXPRESSION = re.compile(r"\{[{%](.*?)[%}]\}")


def used_in(path):
    """Return the text of a file that can contain calls; for a template, its expressions."""
    text = path.read_text(encoding="utf-8")
    return " ".join(EXPRESSION.findall(text)) if path.suffix == ".html" else text


USED = "\n".join(
    used_in(path)
    for folder, suffixes in (
        ("src", {".py"}),
        ("services", {".py", ".html"}),
        ("deploy", {".py", ".yaml", ".yml"}),
        *((folder, {".py"}) for folder in ("loadtest", "bench", "capacity", "experiments", "testkit")),
    )
    for path in (ROOT / folder).rglob("*")
    if path.suffix in suffixes
)
WORDS = Counter(re.findall(r"\w+", USED))


def defined():
    """Yield (module, class or "", name) of every function and method of the product."""
    for folder in ("src", "services"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT / folder).with_suffix("").parts)
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not registered(node):
                    yield module, "", node.name
                if isinstance(node, ast.ClassDef):
                    for inner in node.body:
                        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) and not registered(inner):
                            yield module, node.name, inner.name


def registered(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Return whether a decorator registers the function with pydantic or Django's checks, which call it."""
    decorators = [ast.unparse(each) for each in function.decorator_list]
    return any("validator" in each or each.startswith(("register(Tags.", "register('services'")) for each in decorators)


def is_a_hook(module: str, owner: str, name: str) -> bool:
    """Return whether a base class calls the method, or a decorator replaces it."""
    if name.startswith("__") or name in HOOKS or not owner:
        return name in HOOKS
    owner_object = getattr(import_module(module), owner)
    own = inspect.unwrap(vars(owner_object)[name]) if callable(vars(owner_object)[name]) else None
    return any(hasattr(base, name) for base in owner_object.__mro__[1:]) or own is None


def test_no_code_is_there_for_its_test_alone():
    """`Frame.key` and `Background.submit` were only used by their tests."""
    once = [(module, owner, name) for module, owner, name in defined() if WORDS[name] == 1]
    dead = [each for each in once if each[2] not in HOOKS and not each[2].startswith("__") and not is_a_hook(*each)]
    assert dead == [], dead


@pytest.mark.parametrize("metric", declared(), ids=exported)
def test_every_metric_is_measured(metric: MetricWrapperBase):
    """A metric that is never set shows a zero that looks healthy."""
    [name] = [name for name, value in vars(metrics).items() if value is metric and name.isupper()]
    sources = "".join(
        path.read_text(encoding="utf-8")
        for folder in ("src", "services")
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "metrics.py"
    )
    assert f"metrics.{name}." in sources
