"""An invalid setting prevents the start, with an error that names it. A setting with several forms is normalised."""

import pytest

from dashboard.env import read_env
from dashboard.setting_types import TAKEN_PATHS
from tests.integration.dashboard.test_environment import ENTRY_POINTS, run
from tests.reports.production_settings import ENCODED, PRODUCTION, read
from web import urls


def refusal(**changed: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        read(**changed)
    return str(stopped.value)


NORMAL = {
    "allowed_origins": [
        ("https://docs.example.com/", ("https://docs.example.com",)),
        ("https://docs.example.com:443", ("https://docs.example.com",)),
        ("HTTPS://DOCS.Example.com", ("https://docs.example.com",)),
        (" https://a.example , https://b.example:8443/ ,", ("https://a.example", "https://b.example:8443")),
        ("https://bücher.example", ("https://xn--bcher-kva.example",)),
        ("https://[2001:DB8::1]", ("https://[2001:db8::1]",)),
    ],
    "allowed_hosts": [
        ("Docs.Example.com", ("docs.example.com",)),
        ("docs.example.com.", ("docs.example.com",)),
        (".example.com,*", (".example.com", "*")),
        ("bücher.example", ("xn--bcher-kva.example",)),
        ("::1,[::1]", ("[::1]",)),
    ],
    "web_bind": [
        ("[::]:8000", "[::]:8000"),
        ("localhost:8000", "localhost:8000"),
        ("unix:/run/web.sock", "unix:/run/web.sock"),
    ],
    "admin_host": [("[::1]", "::1"), ("::", "::"), ("localhost", "localhost")],
    "signup": [("True ", True), ("off", False), ("False\r", False)],
    "web_threads": [(" 4\n", 4)],
    "log_level": [("\ufeffINFO\r\n", "INFO")],
    "database_url": [
        (url, url)
        for url in (
            "postgres://u:p@h/d?sslmode=require&connect_timeout=5&hostaddr=127.0.0.1",
            "postgres://u:p@/d?host=/run/postgresql&port=5433",
        )
    ],
    "redis_url": [(f"redis://u:{ENCODED}@h/0\r\n", f"redis://u:{ENCODED}@h/0")],
}


@pytest.mark.parametrize(("name", "written", "expected"), [(n, *each) for n, forms in NORMAL.items() for each in forms])
def test_a_value_has_one_form(name, written, expected):
    """With `TIDEWIRE_ALLOWED_ORIGINS=https://docs.example.com/` everything started, then every socket was refused."""
    assert getattr(read(**{name.upper(): written}), name) == expected


REFUSED = {
    "ALLOWED_ORIGINS": [
        *("docs.example.com", "https://docs.example.com/app", "https://*.example.com", "null", "*", "https://a b"),
        *("wss://docs.example.com", "https://docs.example.com.", "https://docs.example.com:0", "https://u:hunter2@a"),
        *('"https://docs.example.com"', "https://a.example https://b.example", "http://docs.example.com"),
    ],
    "ALLOWED_HOSTS": [
        *("https://docs.example.com", "docs.example.com:443", "docs.example.com/", "*.example.com", "a b", "[::1"),
        *("[::1]:80", '"docs.example.com"', "docs..example.com", "10.0.0.256"),
    ],
    "REDIS_URL": [
        *("redis://:hunter2@x@h", "redis://:hunter2/x@h", "redis://:hunter2#x@h", "redis://:hunter2?x@h"),
        *("redis://:hunter2%x@h", "redis://h/hunter2", "redis://h/0/1", "redis://hunter2@h", "redis://h:hunter2"),
        *("redis://h:0", "redis://::1:6379", "redis:///0", "redis://h?hunter2=1", "redis://h?max_connections=1"),
        *("redis://h?decode_responses=true", "redis://h?ssl_cert_reqs=none", "rediss://h?ssl_ca_certs=/nowhere"),
        *(
            "redis://h?db=1&db=2",
            "http://h",
            "h:6379",
            "redis://h h",
            "unix://",
            "redis://h/1?db=2",
            '"redis://h/0"',
            "REDIS://h",
        ),
    ],
    "DATABASE_URL": [
        *("postgres://u:hunter2@x@h/d", "postgres://u:hunter2/x@h/d", "postgres://u:hunter2#x@h/d"),
        *("postgres://u:hunter2?x@h/d", "postgres://u:hunter2%x@h/d", "postgres://u:p@h:hunter2/d"),
        *("postgres://u:p@h", "postgres://u:p@h/", "postgres://u:p@h/a/b", "postgres://:hunter2@h/d"),
        *("postgres://u:p@h/d?hunter2=1", "postgres://u:p@h/d?pool=true", "mysql://u:p@h/d", "oracle://h/d", "d"),
        *("postgres://u:p@h/d?sslmode=hunter2", "postgres://u:p@h/d?connect_timeout=hunter2"),
        *("postgres://u:p@h/d?password=hunter2", "postgres://u:p@h/d?host=other", "postgres://h/d?dbname=other"),
        *("postgres://u:p@h:0/d", "postgres://u:p@h1:1,h2:2/d", "sqlite://", "sqlite:///", "sqlite://relative"),
        *("sqlite:////nowhere/at/all.sqlite3", "sqlite:////tmp", "sqlite:////tmp/a.sqlite3?hunter2=1"),
    ],
    "REDIS_SENTINELS": ["redis", "redis:0", "redis:65536", ":1", "::1:26379", "redis:1 redis:2", "redis://h:1"],
    "WEB_BIND": [
        "8000",
        ":8000",
        "localhost",
        "::1:8000",
        "localhost:0",
        "localhost:70000",
        "http://localhost:8000",
        "unix:",
    ],
    "ADMIN_HOST": ["localhost:8300", "http://localhost", "a b", "*"],
    "ADMIN_PORT": ["0", "65536", "-1", "8300/tcp", "tcp://10.0.0.1:80", "nan"],
    "WS_DRAIN_SECONDS": ["nan", "inf", "-1", "30s", "3601", "1e999", "half"],
    "SESSION_CHECK_SECONDS": ["0", "nan", "5m", "-inf"],
    "CONNECTIONS_PER_NODE": ["0", "10k", "1.5", "1e9"],
    "WEB_THREADS": ["0", "many", "257"],
    "SIGNUP": ["perhaps", "Falsee", "2"],
    "SECURE_COOKIES": ["of", "none"],
    "NODE_NAME": ["ws 1", "ws/1", "x" * 101],
    "ADMIN_PATH": ["admin", "/admin/", "Admin/", "a/b/", "login/", "static/", "ws/", "documents/"],
    "ENVIRONMENT": ["staging", "Production "],
    "LOG_LEVEL": ["LOUD", "20"],
}


@pytest.mark.parametrize(("name", "value"), [(name, each) for name, values in REFUSED.items() for each in values])
def test_a_value_that_cannot_work_stops_the_start(name, value):
    """Everything started, and hours later the log had an exception of a library, with the password in it."""
    message = refusal(**{name: value})
    assert f"TIDEWIRE_{name}" in message
    assert message.startswith("tidewire cannot start:")
    assert "hunter2" not in message


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("ALLOWED_ORIGIN", "ALLOWED_ORIGINS"),
        ("DRAIN_SECONDS", "WS_DRAIN_SECONDS"),
        ("SECURE_COOKIE", "SECURE_COOKIES"),
        ("ALLOWED_HOST", "ALLOWED_HOSTS"),
        ("SESSION_CHECK_SECOND", "SESSION_CHECK_SECONDS"),
        ("SECRET_DIR", "SECRETS_DIR"),
    ],
)
def test_a_slip_in_a_name_is_found(slip, meant):
    """I had set TIDEWIRE_SECURE_COOKIE=false, and spent an hour searching why nothing changed."""
    assert f"TIDEWIRE_{slip} is no setting. TIDEWIRE_{meant} is meant?" in refusal(**{slip: "1"})


def test_a_name_in_lower_case_is_found():
    """A misspelt name in lower case, such as tidewire_allowed_origins, must be found too."""
    with pytest.raises(SystemExit, match=r"tidewire_allowed_origins is no setting\. TIDEWIRE_ALLOWED_ORIGINS is meant"):
        read_env(PRODUCTION | {"tidewire_allowed_origins": "https://docs.example.com"})


def test_another_name_is_said_to_be_ignored(capsys):
    """Variables of other programs or of Kubernetes itself must not prevent the start."""
    read(PORT_8000_TCP_PROTO="tcp")
    assert "TIDEWIRE_PORT_8000_TCP_PROTO is no setting of tidewire" in capsys.readouterr().err


def test_no_path_of_a_page_is_free_for_the_admin():
    """With TIDEWIRE_ADMIN_PATH=people/ the admin could not be reached."""
    pages = {str(each.pattern).lstrip("^").partition("/")[0] for each in urls.urlpatterns}
    assert pages - {"", read().admin_path.rstrip("/")} <= TAKEN_PATHS


@pytest.mark.integration
@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_every_program_says_the_same_and_ends(name):
    """An invalid value caused a traceback of a hundred lines, or a server that started and answered no request."""
    odd = {"TIDEWIRE_ALLOWED_ORIGINS": "docs.example.com", "TIDEWIRE_REDIS_URL": "redis://:hunter2#@h"}
    done = run(*ENTRY_POINTS[name], settings="ws.settings" if name == "ws" else "web.settings", **PRODUCTION | odd)
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert [variable for variable in odd if f"{variable} is invalid" not in output] == []
    assert "Traceback" not in output
    assert "hunter2" not in output


@pytest.mark.integration
def test_gunicorn_does_not_start_without_its_static_files(tmp_path):
    """Every page responded with 500, because collectstatic had not run."""
    fields = {"TIDEWIRE_STATIC_ROOT": str(tmp_path), "TIDEWIRE_DATABASE_URL": "sqlite:///:memory:"}
    done = run(*ENTRY_POINTS["gunicorn"], **PRODUCTION | fields)
    assert done.returncode != 0
    assert "TIDEWIRE_STATIC_ROOT" in done.stderr
    assert "collectstatic" in done.stderr
    assert "Traceback" not in done.stderr
