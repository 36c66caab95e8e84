"""The templates of `tidewire init`: one truth with this repository's files, and valid files in another project."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from deploy.compose import lint
from deploy.kit import derived, generate
from deploy.local.layout import ROOT
from deploy.local.system import find_program
from tests.unit.deploy import kit_projects

# This repository's own answers: with them each template must be the file that it was made of.
OURS = {
    "name": "tidewire",
    "web_image": "tidewire-web",
    "ws_image": "tidewire-ws",
    "host": "docs.example.com",
    "product": True,
    "outbox": True,
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    directory = tmp_path_factory.mktemp("templates")
    generate.write(directory)
    return directory


@pytest.fixture(scope="module")
def rendered(written, tmp_path_factory):
    """Return `rendered(**answers)`: a folder with the files for these answers."""
    copier = pytest.importorskip("copier", reason="kit: no copier on this machine; `make setup` installs it")

    def render(**answers) -> Path:
        directory = tmp_path_factory.mktemp("project")
        copier.run_copy(str(written), directory, data=answers, defaults=True, quiet=True)
        return directory

    return render


@pytest.fixture(scope="module", params=[False, True], ids=["of-channels", "with-an-outbox"])
def theirs(rendered, request):
    """A project's files, of which one uses Channels alone and one tidewire's outbox."""
    answers = {"name": "racing", "settings": "racing.settings", "application": "racing.routing:application"}
    return rendered(outbox=request.param, sockets="ws live", requirements="requirements.txt", **answers)


def test_our_own_files_are_those_of_the_templates(rendered):
    directory = rendered(**OURS)
    made_of = generate.sources() | {name: name for name in derived.files({})}
    assert len(made_of) > 60
    different = [name for target, name in made_of.items() if _text(directory / target) != _text(ROOT / name)]
    assert different == []
    scripts = [target for target, name in made_of.items() if os.access(ROOT / name, os.X_OK)]
    assert [target for target in scripts if not os.access(directory / target, os.X_OK)] == []


def test_five_questions_are_asked_at_most():
    questions = yaml.safe_load(generate.templates()["copier.yml"])
    asked = {name for name, each in questions.items() if not name.startswith("_") and each.get("when", True)}
    # `tidewire init` answers these itself.
    assert asked - {"python", "outbox"} == {"name", "settings", "application", "sockets", "requirements"}


def test_a_file_that_the_substitutions_no_longer_fit_is_named(monkeypatch):
    change = {"old": "no such line", "new": ""}
    with pytest.raises(generate.KitError, match=r"^compose\.yaml no longer has this text.*'no such line'$"):
        generate.changed("services:\n", change, "compose.yaml")
    with pytest.raises(generate.KitError, match=r"^compose\.yaml has no 'end' after 'services:'"):
        generate.changed("services:\n", {"old": "services:", "until": "end", "new": ""}, "compose.yaml")


def test_nothing_of_the_documents_dashboard_is_in_a_project(theirs):
    product = (r"services/(web|ws|dash)", r"loadtest[-_.]", r"documents?\b", r"dashboard\.", r"docs\.example")
    words = re.compile("|".join([*product, r"make (up|lint|compose|secrets)\b"]))
    found = [
        f"{path.relative_to(theirs)}: {match[0]}"
        for path in _files(theirs)
        for match in words.finditer(_text(path))
        if path.suffix not in {".json", ".types"}
    ]
    assert found == []


def test_only_a_project_with_an_outbox_has_a_relay(theirs):
    relays = [path for path in _files(theirs) if "relay" in _text(path).lower().replace("relays", "")]
    is_told = "outbox: true" in _text(theirs / "deploy/.tidewire.yml")
    assert bool(relays) == is_told, relays
    assert (theirs / "deploy/k8s/base/relay.yaml").exists() == is_told


def test_each_image_has_the_whole_project(theirs):
    assert "COPY . .\n" in _text(theirs / "deploy/Dockerfile")
    services = yaml.safe_load(_text(theirs / "deploy/compose.yaml"))["services"]
    assert services["web"]["image"] == services["ws"]["image"] == services["migrate"]["image"]
    assert services["ws"]["command"][-1] == "racing.routing:application"


def test_no_template_is_left_in_a_file(theirs):
    assert [path for path in _files(theirs) if re.search(r"\[%|%\]|\[\[|\]\]", _text(path))] == []


def test_python_files_can_be_compiled(theirs):
    for path in theirs.rglob("*.py"):
        ast.parse(_text(path))


def test_the_pages_run_with_the_settings_of_containers(theirs, tmp_path):
    shutil.copytree(theirs / "deploy", tmp_path / "deploy")
    apps = '"tidewire", ' if (theirs / "deploy/k8s/base/relay.yaml").exists() else ""
    files = kit_projects.FILES | {"dj_database_url.py": kit_projects.DATABASE_URL, "deploy/project.env": "OWN=a=b\n"}
    settings = files["racing/settings.py"].replace("[", f"[{apps}", 1)
    files["racing/settings.py"] = f'import os\nOWN = os.environ["OWN"]\nDEBUG = True\n{settings}'
    files["racing/urls.py"] = "urlpatterns = []\n"
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "counts").mkdir()
    (tmp_path / "TIDEWIRE_SECRET_KEY").write_text("of a file\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TIDEWIRE", "DJANGO"))} | {
        "PYTHONPATH": f"{tmp_path}:{ROOT / 'src'}",
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "counts"),
        "TIDEWIRE_SECRETS_DIR": str(tmp_path),
        "TIDEWIRE_DATABASE_URL": "postgres://db",
        "TIDEWIRE_REDIS_URL": "redis://redis",
    }
    command = [sys.executable, "-c", kit_projects.ASK]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answers, values = json.loads(done.stdout)
    assert {path: status for path, (status, _) in answers.items()} == {
        "/healthz": "200",
        "/readyz": "200",
        "/nowhere": "404",
        "/metrics": "200",
    }
    assert 'tidewire_requests_total{method="GET",status="4xx",view="none"} 1.0' in answers["/metrics"][1]
    assert "tidewire_connections" not in answers["/metrics"][1], "a node's metric"
    assert values == {
        "DEBUG": False,
        "SECRET_KEY": "of a file",
        "STATIC_URL": "/static/",
        "ALLOWED_HOSTS": ["localhost", "127.0.0.1"],
        "OWN": "a=b",
    }


def test_yaml_files_can_be_read(theirs):
    assert all(list(yaml.safe_load_all(_text(path))) for path in [*theirs.rglob("*.yml"), *theirs.rglob("*.yaml")])


def test_compose_accepts_its_file(theirs):
    assert _complaints(lint.compose_config, [["deploy/compose.yaml"]], theirs) == ""


def test_the_dockerfile_is_clean(theirs):
    assert _complaints(lint.hadolint, [theirs / "deploy/Dockerfile"]) == ""


def test_nginx_accepts_its_configuration_and_it_is_safe(theirs, tmp_path):
    if find_program("nginx") is None:
        pytest.skip("lint: there is no nginx")
    site = _text(theirs / "deploy/nginx/tidewire.conf.template")
    assert 'location ~ "^/(?:ws|live)/"' in site
    values = yaml.safe_load(_text(theirs / "deploy/compose.yaml"))["services"]["nginx"]["environment"]
    values = {name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value).replace("$$", "$") for name, value in values.items()}
    # Names of containers, and `resolve`, which an older nginx does not have.
    values |= {"TIDEWIRE_LISTEN": "127.0.0.1:18099", "TIDEWIRE_ACCESS_LOG": str(tmp_path / "access.log")}
    values |= dict.fromkeys(("TIDEWIRE_WEB_SERVERS", "TIDEWIRE_WS_SERVERS"), "server 127.0.0.1:1;")
    (tmp_path / "site.conf").write_text(re.sub(r"\$\{(\w+)\}", lambda match: values[match[1]], site))
    types = theirs / "deploy/nginx/mime.types"
    http = f'http {{ include "{types}"; include site.conf; }}'
    main = tmp_path / "nginx.conf"
    main.write_text(f'pid "{tmp_path}/pid";\nerror_log stderr warn;\nevents {{}}\n{http}\n')
    assert lint.nginx(main) == ""
    assert _complaints(lint.gixy, main) == ""


@pytest.mark.parametrize(("sockets", "path"), [("", "/"), ("ws", "/ws/"), ("a.b c", r"/(?:a\.b|c)/")])
def test_the_paths_of_sockets(rendered, sockets, path):
    site = _text(rendered(sockets=sockets) / "deploy/nginx/tidewire.conf.template")
    assert f'location ~ "^{path}" {{' in site
    assert f'"~*^{path}.* websocket$" websocket;' in site


def test_prometheus_accepts_its_configuration_and_rules(theirs):
    promtool = find_program("promtool")
    if promtool is None:
        pytest.skip("monitoring: there is no promtool")
    rules = sorted((theirs / "deploy/prometheus/rules").glob("*.yml"))
    done = subprocess.run([promtool, "check", "rules", *rules], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    configured = yaml.safe_load(_text(theirs / "deploy/compose/prometheus.yml"))
    assert {"web", "ws", "redis", "postgres", "nginx"} <= {job["job_name"] for job in configured["scrape_configs"]}


def test_an_alert_selects_only_jobs_that_are_scraped(theirs):
    configured = yaml.safe_load(_text(theirs / "deploy/compose/prometheus.yml"))
    jobs = {job["job_name"] for job in configured["scrape_configs"]}
    for path in (theirs / "deploy/prometheus/rules").glob("*.yml"):
        named = {job for found in re.findall(r'job=~?"([^"]+)"', _text(path)) for job in found.split("|")}
        assert named <= jobs, path.name


def test_the_files_of_a_project_run_through_the_command(tmp_path, written, monkeypatch):
    """The wheel's own entry: what is asked for is what the project says."""
    pytest.importorskip("copier")
    project = kit_projects.make(tmp_path / "Racing 2026")
    monkeypatch.syspath_prepend(str(ROOT / "src"))
    from tidewire.kit.command import init  # noqa: PLC0415 - beside the fixture's path

    assert init(["--yes", str(project)], templates=written) == 0
    answers = yaml.safe_load(_text(project / "deploy/.tidewire.yml"))
    assert answers["name"] == "racing"
    assert answers["sockets"] == "live ws"
    assert answers["requirements"] == "requirements.txt"


def _complaints(linter, *arguments) -> str:
    try:
        return linter(*arguments)
    except lint.Absent as error:
        pytest.skip(f"lint: {error}")


def _files(directory: Path) -> list[Path]:
    return sorted(path for path in (directory / "deploy").rglob("*") if path.is_file())


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
