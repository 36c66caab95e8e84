"""Origins, addresses to listen on, and paths, in each form in which they may be written."""

import dataclasses
import socket

import pytest

from deploy.local.layout import free_port
from tests.http_client import fetch
from tests.integration.dashboard.test_environment import ENTRY_POINTS, run
from tests.reports.production_settings import PRODUCTION
from tests.sockets import event, open_socket
from tests.stack import ONE_WORKER
from tidewire.server.drain_command import drain


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
