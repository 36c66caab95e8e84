"""An invalid setting prevents the start, with an error that names it. A setting with several forms is normalised."""

import contextlib
import dataclasses
import math
import socket
import subprocess
import urllib.parse

import dj_database_url
import psycopg
import pytest
from channels_redis.pubsub import RedisPubSubChannelLayer
from django.core.exceptions import ImproperlyConfigured
from redis.asyncio import Redis

from dashboard.env import TAKEN_PATHS, Env, read_env
from deploy.local.layout import LOOPBACK, free_port
from deploy.local.system import find_program
from tests import postgres
from tests.http_client import fetch
from tests.integration.dashboard.test_environment import ENTRY_POINTS, run
from tests.sockets import event, open_socket
from tests.stack import ONE_WORKER
from tidewire import conf
from tidewire.redis.hosts import pool, redis_host
from tidewire.server.drain_command import drain
from web import urls

PRODUCTION = {
    "TIDEWIRE_SECRET_KEY": "k" * 25 + "e" * 25,
    "TIDEWIRE_ALLOWED_HOSTS": "docs.example.com",
    "TIDEWIRE_REDIS_URL": "redis://redis:6379/0",
    "TIDEWIRE_DATABASE_URL": "postgres://tidewire@db/tidewire",
}
# Characters that a password can contain and that have a meaning in a URL.
ODD = "p@:/#%?[]&=+ ü%41"
ENCODED = urllib.parse.quote(ODD, safe="")


def read(**changed: str) -> Env:
    return read_env(PRODUCTION | {f"TIDEWIRE_{name}": value for name, value in changed.items()})


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


@pytest.mark.parametrize("text", ["{}\n", "{}\r\n", "\ufeff{}", " {} "])
def test_a_secret_is_the_same_however_its_file_was_written(tmp_path, text):
    """The file was created by an editor on Windows, and no process could log in to Redis."""
    url = "redis://:hunter2@redis:6379/0"
    (tmp_path / "TIDEWIRE_REDIS_URL").write_text(text.format(url))
    environment = PRODUCTION | {"TIDEWIRE_SECRETS_DIR": str(tmp_path)}
    del environment["TIDEWIRE_REDIS_URL"]
    assert read_env(environment).redis_url == url


def empty(path):
    path.write_text("\n")


def directory(path):
    path.mkdir()


def binary(path):
    path.write_bytes(b"\xff\xfe\x00")


def wide(path):
    path.write_text("redis://:hunter2@redis:6379/0", encoding="utf-16")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (empty, "TIDEWIRE_REDIS_URL is not set"),
        (directory, "TIDEWIRE_REDIS_URL in TIDEWIRE_SECRETS_DIR cannot be read: Is a directory"),
        (binary, "TIDEWIRE_REDIS_URL in TIDEWIRE_SECRETS_DIR cannot be read: it is not text"),
        (wide, "TIDEWIRE_REDIS_URL in TIDEWIRE_SECRETS_DIR cannot be read: it is not text"),
    ],
)
def test_a_file_that_holds_no_secret_is_named(tmp_path, make, message):
    """Docker creates a directory in place of a file that does not exist."""
    make(tmp_path / "TIDEWIRE_REDIS_URL")
    environment = PRODUCTION | {"TIDEWIRE_SECRETS_DIR": str(tmp_path)}
    del environment["TIDEWIRE_REDIS_URL"]
    with pytest.raises(SystemExit, match=message):
        read_env(environment)


def test_no_secret_stands_in_a_representation():
    """A traceback that shows the settings must not show a password."""
    shown = repr(
        read(REDIS_URL="redis://:hunter2@h", DATABASE_URL="postgres://u:hunter2@h/d", SECRET_KEY="hunter2" * 9)
    )
    assert "hunter2" not in shown


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


@pytest.mark.integration
async def test_sockets_open_whatever_form_the_origin_was_written_in(stack_factory):
    """I wrote my address with a slash at its end: pages loaded, but never became Live."""
    stack = stack_factory(ws=1, **ONE_WORKER)
    port = stack.layout.ports.nginx
    stack.environment["TIDEWIRE_ALLOWED_ORIGINS"] = f"HTTP://LocalHost:{port}/"
    with stack:
        cookie = stack.cookies["ada"]
        for written in (f"http://localhost:{port}", f"http://LOCALHOST:{port}"):
            async with open_socket(stack, "/ws/users/", cookie, origin=written) as socket:
                await event(socket, "users.count")


@contextlib.contextmanager
def redis_with_password(password: str):
    port = free_port()
    program = find_program("redis-server", "valkey-server")
    if program is None:
        pytest.skip("there is no redis-server")
    command = [program, "--bind", LOOPBACK, "--port", str(port), "--save", "", "--requirepass", password]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            while "Ready to accept connections" not in (line := process.stdout.readline()):
                assert line, "redis-server ended"
            yield port
        finally:
            process.terminate()


@pytest.mark.integration
async def test_the_oddest_password_reaches_redis():
    """The library and the channel layer must read the same password from one URL."""
    with redis_with_password(ODD) as port:
        url = read(REDIS_URL=f"redis://:{ENCODED}@{LOOPBACK}:{port}/3").redis_url
        client = Redis.from_pool(pool(redis_host(url)))
        assert await client.ping()
        await client.aclose()
        layer = RedisPubSubChannelLayer(hosts=[redis_host(url) | {"socket_timeout": None}])
        channel = await layer.new_channel()
        await layer.group_add("all", channel)
        await layer.group_send("all", {"type": "hello"})
        assert await layer.receive(channel) == {"type": "hello"}
        await layer.flush()


@pytest.mark.integration
def test_the_oddest_password_reaches_postgresql():
    """Django must read the same password from the URL of the database."""
    if reason := postgres.why_not():
        pytest.skip(reason)
    with postgres.Postgres() as server:
        with psycopg.connect(server.url, autocommit=True) as admin:
            quoted = psycopg.sql.Literal(ODD).as_string(admin)
            admin.execute(f"CREATE ROLE odd LOGIN PASSWORD {quoted}")
            [[hba]] = admin.execute("SHOW hba_file").fetchall()
            admin.execute(f"COPY (SELECT 'host all all all scram-sha-256') TO '{hba}'")
            admin.execute("SELECT pg_reload_conf()")
        url = f"postgres://odd:{ENCODED}@{LOOPBACK}:{server.port}/postgres?connect_timeout=5"
        parsed = dj_database_url.parse(read(DATABASE_URL=url).database_url)
        names = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD", "dbname": "NAME"}
        with psycopg.connect(**{name: parsed[key] for name, key in names.items()}, **parsed["OPTIONS"]) as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("odd",)
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(host=LOOPBACK, port=server.port, user="odd", password="other", dbname="postgres")


LIBRARY = {
    "REDIS_URL": ["h", "redis://:hunter2#@h", "redis:///0", 6379, b"redis://h", "redis://h?max_connections=1"],
    "REDIS_SENTINELS": ["redis:26379", ["redis"], [("redis", 26379)], None],
    "REDIS_SENTINEL_PASSWORD": [None, 1],
    "ALLOWED_ORIGINS": [
        "https://docs.example.com",
        ["docs.example.com"],
        ["*"],
        None,
        {"https://a"},
        ["https://a.example/b"],
    ],
    "LEASE_SECONDS": ["10", math.nan, math.inf, 0, -1, None, True, 1e300],
    "CHECK_SECONDS": [0, 1e-9, "1s", False],
    "DRAIN_SECONDS": [-1, math.nan, "30"],
    "TICKET_SECONDS": [0, 900.5, "900"],
    "MAX_BACKLOG_BYTES": ["256K", 262144.5, 0, -1, None, True, 1],
    "MESSAGES_PER_SECOND": [0, "10", 31],
    "HISTORY_LENGTH": [0, "1000", 2**40],
    "CONNECTIONS_PER_NODE": ["10000", 0, 1.5],
    "ADMIN_PORT": [-1, 65536, "8300", None],
    "ADMIN_HOST": ["", "localhost:8300", "http://localhost", None],
    "NODE_NAME": ["", "a b", None, "a" * 101],
    "PREFIX": ["", "a:b", "a b", "a*"],
    "PRESENCE_INDEXES": [[("document", "documents")], {"document": 1}, "document"],
    "REDIS_MASTER": ["", None],
    "CHANNEL_LAYER": [None, 1],
}


@pytest.fixture
def library(settings):
    """The library's settings, read from these settings of a project."""

    def read(**changed: object) -> conf.Settings:
        settings.TIDEWIRE = {"REDIS_URL": "redis://h"} | changed
        return conf.settings()

    conf.settings.cache_clear()
    yield read
    conf.settings.cache_clear()


@pytest.mark.parametrize(("name", "value"), [(name, each) for name, values in LIBRARY.items() for each in values])
def test_a_setting_of_another_type_stops_the_start(library, name, value):
    """ALLOWED_ORIGINS="https://docs.example.com" became a tuple of characters, and every socket was refused."""
    with pytest.raises(ImproperlyConfigured, match=name) as refused:
        library(**{name: value})
    assert "hunter2" not in str(refused.value)


def test_a_list_is_as_good_as_a_tuple_and_a_whole_number_as_a_float(library):
    """Django's own settings are lists, and 20 is a number of seconds."""
    library_settings = library(
        ALLOWED_ORIGINS=["HTTPS://Docs.Example.com/"], LEASE_SECONDS=20, PRESENCE_INDEXES={"document": "documents"}
    )
    assert (library_settings.ALLOWED_ORIGINS, library_settings.LEASE_SECONDS) == (("https://docs.example.com",), 20.0)


def test_every_wrong_setting_is_named_at_once(library):
    """An operator should not have to start three times to find three mistakes."""
    with pytest.raises(ImproperlyConfigured) as refused:
        library(LEASE_SECONDS="10", ALLOWED_ORIGINS="https://a", ADMIN_PORT=70000)
    assert {"LEASE_SECONDS", "ALLOWED_ORIGINS", "ADMIN_PORT"} <= set(str(refused.value).replace(":", "").split())


@pytest.mark.parametrize(("configured", "host"), [("::", "[::1]"), ("[::1]", "[::1]"), ("localhost", "localhost")])
def test_a_drain_asks_where_the_node_listens(monkeypatch, capsys, configured, host):
    """`python -m tidewire drain` connected to 127.0.0.1, whatever the value of TIDEWIRE_ADMIN_HOST."""
    monkeypatch.setenv("TIDEWIRE_ADMIN_HOST", configured)
    monkeypatch.setenv("TIDEWIRE_ADMIN_PORT", str(free_port()))
    assert drain([]) == 1
    assert f"no node answers on http://{host}:" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "value"), [("PORT", "8300/tcp"), ("PORT", "70000"), ("HOST", "http://localhost")])
def test_a_drain_names_what_it_cannot_use(monkeypatch, capsys, name, value):
    """The command ended with a traceback."""
    monkeypatch.setenv(f"TIDEWIRE_ADMIN_{name}", value)
    with pytest.raises(SystemExit, match="2"):
        drain([])
    assert f"--admin-{name.lower()}" in capsys.readouterr().err


@pytest.mark.integration
def test_a_path_prefix_is_refused():
    """The pages were served below /docs, and every link and socket led out of it."""
    done = run(
        *ENTRY_POINTS["gunicorn"], **PRODUCTION | {"TIDEWIRE_DATABASE_URL": "sqlite:///:memory:"}, SCRIPT_NAME="/docs"
    )
    assert done.returncode != 0
    assert "SCRIPT_NAME is set, and a path prefix is not served" in done.stderr


@pytest.mark.integration
def test_a_node_listens_on_ipv6(stack_factory):
    """On a host with only IPv6 the node had no health endpoint."""
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    stack = stack_factory(ws=1, **ONE_WORKER)
    node = stack.processes["ws-0"]
    command = [*node.definition.command[:-4], "-b", "::1", "-p", str(stack.ws[0].port)]
    ready = node.definition.ready.replace("127.0.0.1", "[::1]")
    node.definition = dataclasses.replace(node.definition, command=command, ready=ready)
    stack.environment["TIDEWIRE_ADMIN_HOST"] = "[::1]"
    with stack:
        assert fetch(f"http://[::1]:{stack.ws[0].admin_port}/readyz").status == 200
        # The command must not ask the proxy of a company for a node on its own host.
        asked = {
            "TIDEWIRE_ADMIN_PORT": str(stack.ws[0].admin_port),
            "TIDEWIRE_ADMIN_HOST": "::1",
            "http_proxy": f"http://127.0.0.1:{free_port()}",
        }
        done = run("-m", "tidewire", "drain", settings="ws.settings", **asked)
        assert "gone" in done.stdout


@pytest.mark.integration
def test_a_browser_without_a_page_finds_the_icon(stack):
    """Each visit wrote a 404 for /favicon.ico into the log."""
    answered = fetch(f"{stack.url}/favicon.ico")
    assert answered.status == 302
    assert answered.headers["Cache-Control"] == "max-age=86400"
    assert fetch(f"{stack.url}{answered.headers['Location']}").headers["Content-Type"] == "image/svg+xml"
