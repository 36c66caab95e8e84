"""The nginx template with stand-ins that return the requests they received: headers, limits, unavailable upstreams."""

import contextlib
import json
import socket
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from deploy.local.config import write_configuration
from deploy.local.layout import Layout, Ports
from deploy.local.processes import processes
from tests.http_client import fetch
from tests.stack import NO_LIMITS, why_not

HANDSHAKE = {"Connection": "Upgrade", "Upgrade": "websocket"}


def logged(layout, request_id):
    """Return the request's line of the access log. It need not be the last: a probe may have ended later."""
    for _ in range(100):
        lines = map(json.loads, (layout.log / "nginx-access.log").read_text().splitlines())
        for line in lines:
            if line["request_id"] == request_id:
                return line
        # nginx writes it after the response.
        threading.Event().wait(0.05)
    raise AssertionError(f"no line of {request_id}")


class Echo(BaseHTTPRequestHandler):
    """Responds with the request and the port that received it, or with a status such as a draining node's 503."""

    status = 200
    cache_control = ""
    alive_seconds = 0.0

    def do_GET(self):
        if self.path == "/tidewire-alive":
            time.sleep(self.alive_seconds)
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = {
            "port": self.server.server_port,
            "peer": self.client_address[1],
            "headers": dict(self.headers.items()),
        }
        body = json.dumps(request).encode()
        self.send_response(self.status)
        if self.cache_control:
            self.send_header("Cache-Control", self.cache_control)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Request-ID", "of-the-upstream")
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self):
        self.do_GET()

    def do_POST(self):
        self.do_GET()

    def log_message(self, *_arguments):
        """Log nothing: failures show in the test."""


@contextlib.contextmanager
def echo(port, **behaviour):
    server = ThreadingHTTPServer(("127.0.0.1", port), type("Echo", (Echo,), behaviour))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def trusting(address, **limits):
    """Settings with a trusted proxy in front: limits then apply to the addresses of its clients."""
    return NO_LIMITS | limits | {"TIDEWIRE_TRUSTED_PROXIES": f"set_real_ip_from {address};"}


@contextlib.contextmanager
def proxy(layout, limits=NO_LIMITS):
    """Run nginx without the stack, with the stack's configuration. Yields its address."""
    if reason := why_not():
        pytest.skip(reason)
    layout.make_directories()
    write_configuration(layout, limits)
    command = next(each.command for each in processes(layout) if each.name == "nginx")
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as nginx:
        try:
            url = f"http://127.0.0.1:{layout.ports.nginx}"
            until_it_listens(url)
            yield url
        finally:
            nginx.terminate()


def until_it_listens(url):
    for _ in range(100):
        with contextlib.suppress(OSError):
            return fetch(f"{url}/healthz", timeout_seconds=1)
        threading.Event().wait(0.05)
    raise AssertionError("nginx does not listen")


@pytest.fixture
def layout(tmp_path):
    return Layout(ports=Ports.free(web=2, ws=2), var=tmp_path)


@pytest.fixture
def reached(layout):
    """Sends a request through nginx and returns the headers that reached the upstream."""
    with contextlib.ExitStack() as servers:
        for port in (*layout.ports.web, *layout.ports.ws):
            servers.enter_context(echo(port))
        url = servers.enter_context(proxy(layout))
        yield lambda path, headers: fetch(f"{url}{path}", headers=headers).json()["headers"]


@pytest.mark.parametrize("path", ["/", "/ws/users/"])
def test_what_a_client_says_of_itself_is_not_believed(reached, path):
    """Nginx sets addresses, scheme and id itself and drops the client's."""
    lies = {
        "X-Forwarded-For": "6.6.6.6",
        "X-Real-IP": "6.6.6.6",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Port": "6",
        "Forwarded": "for=6.6.6.6",
        "X-Request-ID": "mine",
        "Proxy": "http://evil.example",
    }
    headers = reached(path, lies)
    assert headers["X-Forwarded-For"] == "127.0.0.1"
    assert headers["X-Real-IP"] == "127.0.0.1"
    assert headers["X-Forwarded-Proto"] == "http"
    assert len(headers["X-Request-ID"]) == 32
    assert {"X-Forwarded-Host", "X-Forwarded-Port", "Forwarded", "Proxy"}.isdisjoint(headers)


@pytest.mark.parametrize("path", ["/", "/ws/users/"])
@pytest.mark.parametrize(
    ("trusted", "forwarded_for", "address"),
    [
        ("127.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("127.0.0.1", "6.6.6.6, 198.51.100.7", "198.51.100.7"),
        ("127.0.0.1", "6.6.6.6, 198.51.100.7, 127.0.0.1", "198.51.100.7"),
        ("10.0.0.0/8", "198.51.100.7", "127.0.0.1"),
    ],
    ids=["a proxy", "a client that lies to it", "two proxies", "somebody else"],
)
def test_a_proxy_that_is_trusted_says_who_its_client_is(layout, path, trusted, forwarded_for, address):
    """The upstream must receive only that one address, and the log must contain it too."""
    with contextlib.ExitStack() as servers:
        for port in (*layout.ports.web, *layout.ports.ws):
            servers.enter_context(echo(port))
        url = servers.enter_context(proxy(layout, trusting(trusted)))
        headers = fetch(f"{url}{path}", headers={"X-Forwarded-For": forwarded_for}).json()["headers"]
    assert (headers["X-Real-IP"], headers["X-Forwarded-For"]) == (address, address)
    assert logged(layout, headers["X-Request-ID"])["address"] == address


def test_the_host_keeps_its_port(reached):
    """Django and the origin check compare the host with the browser's Origin, which contains the port."""
    assert reached("/", {"Host": "localhost:1234"})["Host"] == "localhost:1234"


def test_a_handshake_on_a_socket_route_is_passed_on(reached):
    headers = reached("/ws/users/", HANDSHAKE)
    assert headers["Upgrade"] == "websocket"
    assert headers["Connection"] == "upgrade"


@pytest.mark.parametrize(("path", "upgrade"), [("/", "websocket"), ("/ws/users/", "h2c"), ("/", "h2c")])
def test_nothing_else_is_upgraded(reached, path, upgrade):
    headers = reached(path, HANDSHAKE | {"Upgrade": upgrade})
    assert "Upgrade" not in headers


def test_the_request_id_in_the_answer_is_nginx_own(layout):
    with echo(layout.ports.web[0]), echo(layout.ports.web[1]), proxy(layout) as url:
        page = fetch(f"{url}/", headers={"X-Request-ID": "mine"})
        assert page.headers.get_all("X-Request-ID") == [page.json()["headers"]["X-Request-ID"]]


def test_the_access_log_is_json_and_carries_the_request_id(layout):
    with echo(layout.ports.web[0]), echo(layout.ports.web[1]), proxy(layout) as url:
        page = fetch(f'{url}/a"b?secret=1')
    line = logged(layout, page.headers["X-Request-ID"])
    assert line["path"] == '/a"b'
    assert line["status"] == 200


@pytest.mark.parametrize("path", ["/", "/ws/users/"])
def test_a_process_that_drains_or_is_down_is_passed_over(layout, path):
    """Nginx tries another process after a 503 and after a refused connection; the client must see neither."""
    draining, well = layout.ports.web if path == "/" else layout.ports.ws
    with echo(draining, status=503), echo(well), proxy(layout) as url:
        assert {fetch(f"{url}{path}").json()["port"] for _ in range(6)} == {well}
    with echo(well), proxy(layout) as url:
        assert {fetch(f"{url}{path}").json()["port"] for _ in range(6)} == {well}


@contextlib.contextmanager
def silent(port):
    """A node that stands still together with its watchdog: the kernel accepts connections, and nothing answers."""
    with socket.create_server(("127.0.0.1", port), backlog=1024):
        yield


# nginx gives a node 1 s; the rest is for a busy machine. A page gives up a handshake after 10 s.
PASSED_OVER_SECONDS = 9.0


def handshake_ports(url, count):
    return [fetch(f"{url}/ws/users/", headers=HANDSHAKE, timeout_seconds=60).json()["port"] for _ in range(count)]


def test_a_node_that_accepts_and_does_not_answer_is_passed_over(layout):
    """With one read timeout of 45 s for handshakes and idle sockets, every second handshake waited for it in vain."""
    silent_port, well = layout.ports.ws
    with proxy(layout) as url, echo(well):
        with silent(silent_port):
            began = time.monotonic()
            assert set(handshake_ports(url, 20)) == {well}
            assert time.monotonic() - began < PASSED_OVER_SECONDS
        # nginx uses the node again soon after it answers.
        with echo(silent_port):
            until = time.monotonic() + 30
            # At the same time, because nginx takes turns between nodes without connections.
            with ThreadPoolExecutor(8) as pool:
                while all(silent_port not in ports for ports in pool.map(lambda _: handshake_ports(url, 3), range(8))):
                    assert time.monotonic() < until
                    time.sleep(0.2)


def test_the_question_costs_a_page_little_when_all_nodes_are_slow(layout):
    """A browser opens the sockets of a page one after the other, and each waits for the question before it.

    With 3 s for each of two nodes, three sockets waited for 18 s, on a machine that was only very busy.
    """
    with proxy(layout) as url, echo(layout.ports.ws[0], alive_seconds=4), echo(layout.ports.ws[1], alive_seconds=4):
        began = time.monotonic()
        handshake_ports(url, 3)
        assert time.monotonic() - began < 15


def test_nodes_that_were_all_marked_as_failed_are_tried_at_once(layout):
    """After an outage of all nodes, as in a restart, no client receives a 502 because of a mark that is out of date."""
    with proxy(layout) as url:
        assert {fetch(f"{url}/ws/users/", headers=HANDSHAKE).status for _ in range(4)} == {502}
        with echo(layout.ports.ws[0]), echo(layout.ports.ws[1]):
            assert {fetch(f"{url}/ws/users/", headers=HANDSHAKE).status for _ in range(4)} == {200}


def test_the_request_before_a_handshake_decides_nothing(layout):
    """The question only marks nodes: the answer to the handshake is the node's own."""
    with echo(layout.ports.ws[0], status=403), echo(layout.ports.ws[1], status=403), proxy(layout) as url:
        refused = fetch(f"{url}/ws/users/", headers=HANDSHAKE)
    assert (refused.status, refused.json()["headers"]["Upgrade"]) == (403, "websocket")


@pytest.mark.parametrize("path", ["/tidewire-alive", "//tidewire-alive", "/%74idewire-alive", "/x/../tidewire-alive"])
def test_the_request_before_a_handshake_is_not_public(reached, layout, path):
    assert fetch(f"http://127.0.0.1:{layout.ports.nginx}{path}").status == 404


def test_what_may_not_be_sent_twice_has_a_connection_of_its_own(tmp_path):
    """A kept connection may close during a request; only a request that reads can then be sent to another process."""
    layout = Layout(ports=Ports.free(web=1, ws=1), var=tmp_path)
    with echo(layout.ports.web[0], protocol_version="HTTP/1.1"), proxy(layout) as url:
        reads = [fetch(f"{url}/").json()["peer"] for _ in range(10)]
        writes = [fetch(f"{url}/", fields={"title": "A"}).json()["peer"] for _ in range(10)]
        reads += [fetch(f"{url}/").json()["peer"] for _ in range(10)]
    # Each of nginx's workers has one.
    assert len(set(reads)) <= 2
    assert len(set(writes) - set(reads)) == 10


@pytest.mark.parametrize("fields", [None, {"title": "A"}])
def test_what_reached_no_process_is_sent_once_more(tmp_path, fields):
    """Nginx tries no other address if the upstream's addresses change meanwhile, as in each roll-out."""
    layout = Layout(ports=Ports.free(web=1, ws=1), var=tmp_path)
    with proxy(layout) as url:
        page = fetch(f"{url}/", fields=fields)
        line = logged(layout, page.headers["X-Request-ID"])
    assert (page.status, "The site is not available" in page.text) == (502, True)
    # A colon separates the upstream of an internal redirect.
    assert line["upstream_status"].split(" : ") == ["502", "502"]


def test_what_reached_a_process_is_not_sent_again(tmp_path):
    """The process may have saved it, although no response came."""
    layout = Layout(ports=Ports.free(web=1, ws=1), var=tmp_path)
    received = []

    def dies(self):
        received.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.close_connection = True

    with echo(layout.ports.web[0], do_POST=dies), proxy(layout) as url:
        page = fetch(f"{url}/", fields={"title": "A"})
    assert (page.status, len(received)) == (502, 1)


def test_one_address_is_held_to_its_limits(layout):
    """The login has the lowest limit, and only attempts count. The response beyond a limit is 429."""
    limits = NO_LIMITS | {"TIDEWIRE_LOGIN_RATE": "1r/m"}
    with echo(layout.ports.web[0]), echo(layout.ports.web[1]), proxy(layout, limits) as url:
        looks = Counter(fetch(f"{url}/login/").status for _ in range(30))
        # The burst allows 20 more.
        attempts = Counter(fetch(f"{url}/login/", fields={"username": "ada"}).status for _ in range(30))
    assert looks == {200: 30}
    assert attempts == {200: 21, 429: 9}


def test_one_address_has_so_many_sockets(layout):
    limits = NO_LIMITS | {"TIDEWIRE_SOCKET_RATE": "1r/m"}
    with echo(layout.ports.ws[0]), echo(layout.ports.ws[1]), proxy(layout, limits) as url:
        statuses = Counter(fetch(f"{url}/ws/users/").status for _ in range(410))
    assert statuses == {200: 401, 429: 9}


def test_clients_of_one_proxy_have_limits_of_their_own(layout):
    """A client's failed logins must not lock out another client of the same proxy."""

    def attempts(number):
        headers = {"X-Forwarded-For": f"198.51.100.{number}"}
        return Counter(fetch(f"{url}/login/", fields={"username": "ada"}, headers=headers).status for _ in range(30))

    limits = trusting("127.0.0.1", TIDEWIRE_LOGIN_RATE="1r/m")
    with echo(layout.ports.web[0]), echo(layout.ports.web[1]), proxy(layout, limits) as url:
        assert attempts(7) == attempts(8) == {200: 21, 429: 9}


def test_clients_of_one_proxy_have_sockets_of_their_own(layout):
    def sockets(number):
        headers = {"X-Forwarded-For": f"198.51.100.{number}"}
        return Counter(fetch(f"{url}/ws/users/", headers=headers).status for _ in range(410))

    limits = trusting("127.0.0.1", TIDEWIRE_SOCKET_RATE="1r/m")
    with echo(layout.ports.ws[0]), echo(layout.ports.ws[1]), proxy(layout, limits) as url:
        assert sockets(7) == sockets(8) == {200: 401, 429: 9}
