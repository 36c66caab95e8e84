"""Runbooks: each service, container, program, metric and make target that they name exists, and each block parses."""

import itertools
import re
import shlex
import shutil
import subprocess

import pytest
import yaml

from deploy.local.layout import ROOT
from deploy.local.system import find_program
from deploy.prometheus.metrics_page import names
from tests.runbooks import FENCE, RUNBOOKS, SPAN, commands, queries

COMMANDS = commands()
PAGES = sorted(RUNBOOKS.glob("*.md"))
SERVICES = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
RULES = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "deploy/prometheus/rules").glob("*.yml"))
RECORDED = set(re.findall(r"record: (\S+)", RULES))
# As the exporters' programs serve them, and Prometheus itself.
EXPORTED = {
    *("up", "process_start_time_seconds", "process_cpu_seconds_total", "process_resident_memory_bytes"),
    *("nginx_up", "redis_up", "redis_memory_used_bytes", "redis_memory_max_bytes", "redis_uptime_in_seconds"),
    *("redis_evicted_keys_total", "pg_up", "pg_stat_activity_count", "pg_settings_max_connections"),
    *("node_filesystem_avail_bytes", "probe_success", "probe_http_status_code", "probe_ssl_earliest_cert_expiry"),
}
# Options of docker compose that have a value.
VALUED = {"--tail", "--since", "--format", "--scale", "--timeout", "-e", "--profile"}
# The programs that each image has; those that commands used in vain: py-spy in ws, curl in web.
PROGRAMS = {
    "web": {"python", "sha256sum", "sh"},
    "ws": {"python", "sha256sum", "sh"},
    "relay": {"python", "sha256sum", "sh"},
    "nginx": {"curl", "nginx", "sh"},
    "redis": {"redis-cli", "timeout", "sh"},
    "postgres": {"pg_isready", "psql", "timeout", "df", "sh"},
    "alertmanager": {"amtool"},
    "prometheus": {"promtool"},
    "grafana": {"grafana", "sh"},
}
END = "();<>|&\n"


def used(text: str) -> list[list[str]]:
    """Return the words of each `docker compose` in a block, without these two."""
    found = []
    for start in re.finditer(r"docker compose ", text):
        lexer = shlex.shlex(text[start.end() :].replace("\\\n", " "), posix=True, punctuation_chars=END)
        lexer.whitespace, lexer.commenters = " \t", ""
        found.append(list(itertools.takewhile(lambda word: not set(word) <= set(END), lexer)))
    return found


def plain(arguments: list[str]) -> list[str]:
    """Return the words that are neither options nor their values."""
    pairs = zip(["", *arguments], arguments, strict=False)
    return [word for before, word in pairs if not word.startswith("-") and before not in VALUED]


def programs(text: str) -> list[tuple[list[str], str, str]]:
    """Return (options, service, program) of each `docker compose exec`."""
    found = []
    for verb, *arguments in used(text):
        if verb == "exec":
            service, program, *more = plain(arguments)
            options = arguments[: arguments.index(service)]
            found.append((options, service, more[1] if program == "timeout" else program))
    return found


def test_there_are_commands_and_queries():
    assert len([each for each in COMMANDS if each.kind == "check"]) > 25
    assert len([each for each in COMMANDS if each.kind == "act"]) > 20
    assert len(queries()) > 80


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_command_is_in_a_block_with_a_mark(path):
    """A test can run only these; in the text a command would also have placeholders."""
    text = path.read_text(encoding="utf-8")
    assert set(FENCE.findall(text)) <= {"sh check", "sh act"}
    inline = SPAN.findall(FENCE.sub("", text))
    runs = [span for span in inline if re.match(r"(docker|curl|redis-cli|psql|python) \S+ \S+", span)]
    assert runs == []


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_a_block_parses(command):
    shell = shutil.which("bash")
    if shell is None:
        pytest.skip("there is no bash")
    done = subprocess.run([shell, "-n"], input=command.text, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_a_block_names_services_that_there_are(command):
    for verb, *arguments in used(command.text):
        named = plain(arguments)
        assert set(named[:1] if verb in {"exec", "run"} else named) <= set(SERVICES), (verb, named)


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_a_block_runs_programs_that_the_image_has(command):
    for options, service, program in programs(command.text):
        assert "-T" in options, "without a terminal, as a test or a pipe has none"
        assert program in PROGRAMS[service], (service, program)
    assert not re.search(r"py-spy|--index|config set", command.text, re.IGNORECASE)
    # A container's number changes with each upgrade.
    assert not re.search(r"tidewire-\w+-\d", command.text)


@pytest.mark.parametrize("command", [each for each in COMMANDS if each.kind == "check"], ids=str)
def test_a_check_changes_nothing_and_ends(command):
    changes = (
        r"docker compose (up|restart|stop|kill|rm|down|run|pull|build)|docker (kill|stop|rm|run|restart)|\bprune\b"
    )
    assert not re.search(rf"{changes}|\brm\b|\bDROP\b|\bDELETE\b|\bALTER\b|pg_terminate", command.text)
    assert "--follow" not in command.text
    for line in command.text.splitlines():
        if "psql" in line or "redis-cli" in line or "pg_isready" in line:
            assert "timeout" in line, "a database that hangs must not hold the operator up"


def test_every_make_target_exists():
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    text = "".join(path.read_text(encoding="utf-8") for path in PAGES)
    used = set(re.findall(r"(?:^|`|\n)make ([a-z0-9-]+)", text))
    assert used >= {"secrets", "test"}
    assert used <= targets


def test_every_metric_exists():
    unknown = set()
    for page, query in queries():
        plain = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\b(by|on) \([^)]*\)', " ", query)
        for name in re.findall(r"(?<![\w:])(?:[a-z]+:)?[a-z_0-9:]*[a-z0-9](?![\w:(])", plain):
            known = re.sub(r"_bucket$", "", name) in names() | EXPORTED or name in RECORDED
            if not known and re.search(r"[_:]", name) and not re.fullmatch(r"tidewire_\.\+|on|by", name):
                unknown.add((page, name))
    assert unknown == set()


@pytest.mark.parametrize(
    ("broken", "found"),
    [
        ("docker compose logs --tail 5 wsx", "services"),
        ("docker compose exec -T ws py-spy dump", "programs"),
        ("docker compose exec -T web curl http://localhost", "programs"),
        ("docker compose exec --index 1 -T ws python", "programs"),
        ("docker compose restart redis", "check"),
        ("docker compose exec -T redis redis-cli ping", "check"),
    ],
)
def test_a_planted_mistake_is_found(broken, found):
    from tests.runbooks import Command  # noqa: PLC0415 - for this test alone

    test = {
        "services": test_a_block_names_services_that_there_are,
        "programs": test_a_block_runs_programs_that_the_image_has,
        "check": test_a_check_changes_nothing_and_ends,
    }[found]
    with pytest.raises(AssertionError):
        test(Command("x.md", "", "check", broken))


def test_every_query_parses():
    """All at once, as expressions of rules; a span may be part of a query, and then it is none of ours."""
    program = find_program("promtool")
    if program is None:
        pytest.skip("there is no promtool: Debian's package prometheus has it")
    rules = [{"record": f"q:{number}:x", "expr": query} for number, (_page, query) in enumerate(queries())]
    text = yaml.safe_dump({"groups": [{"name": "runbooks", "rules": rules}]})
    done = subprocess.run(
        [program, "check", "rules", "/dev/stdin"], input=text, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
