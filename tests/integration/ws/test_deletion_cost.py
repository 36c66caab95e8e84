"""The program with a fake API server and fake nodes on the loopback interface."""

import json
import threading
import urllib.error
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from deploy.local.layout import free_port
from ws.deletion_cost import ANNOTATION, Cluster, update_once


class Fake(ThreadingHTTPServer):
    """An API server with one namespace, and the admin ports of all nodes: the loopback interface has many addresses."""

    def __init__(self) -> None:
        super().__init__(("0.0.0.0", 0), Answer)  # noqa: S104 - the nodes have the addresses from 127.0.0.2
        self.pods: dict[str, dict] = {}
        self.sockets: dict[str, int] = {}
        self.asked: list[tuple[str, str, str]] = []
        self.refuse = 0

    def node(self, name: str, number: int, sockets: int | None) -> None:
        address = f"127.0.0.{number}"
        self.pods[name] = {"metadata": {"name": name}, "status": {"podIP": address}}
        if sockets is not None:
            self.sockets[address] = sockets

    def cost(self, name: str) -> str | None:
        return self.pods[name]["metadata"].get("annotations", {}).get(ANNOTATION)


class Answer(BaseHTTPRequestHandler):
    server: Fake

    def do_GET(self) -> None:
        if self.path == "/metrics":
            address = self.connection.getsockname()[0]
            if address not in self.server.sockets:
                self.say(500, "")
                return
            self.say(200, f'tidewire_connections{{consumer="A"}} {self.server.sockets[address]}.0\n')
            return
        self.note()
        self.say(200, json.dumps({"items": list(self.server.pods.values())}))

    def do_PATCH(self) -> None:
        self.note()
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.refuse:
            self.say(self.server.refuse, "")
            return
        assert self.headers["Content-Type"] == "application/merge-patch+json"
        pod = self.server.pods[self.path.rpartition("/")[2]]
        pod["metadata"].setdefault("annotations", {}).update(body["metadata"]["annotations"])
        self.say(200, "{}")

    def note(self) -> None:
        self.server.asked.append((self.command, self.path, self.headers["Authorization"]))

    def say(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def fake():
    with Fake() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def account(tmp_path):
    (tmp_path / "namespace").write_text("tidewire")
    (tmp_path / "token").write_text("first\n")
    return tmp_path


def rounds(fake: Fake, account) -> list[str]:
    return list(update_once(Cluster(f"http://127.0.0.1:{fake.server_port}", account), fake.server_port))


def test_each_pod_costs_as_many_sockets_as_its_node_has(fake, account):
    fake.node("ws-full", 2, 2000)
    fake.node("ws-half", 3, 1000)
    rounds(fake, account)
    assert (fake.cost("ws-full"), fake.cost("ws-half")) == ("2000", "1000")


def test_a_proxy_of_the_environment_is_not_used(fake, account, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    fake.node("ws-full", 2, 2000)
    rounds(fake, account)
    assert fake.cost("ws-full") == "2000"


def test_it_asks_for_the_nodes_of_its_own_namespace_as_its_account(fake, account):
    rounds(fake, account)
    assert fake.asked == [
        ("GET", "/api/v1/namespaces/tidewire/pods?labelSelector=app.kubernetes.io/name=ws", "Bearer first")
    ]


def test_nothing_is_told_again_while_nothing_changed(fake, account):
    fake.node("ws-full", 2, 2000)
    rounds(fake, account)
    fake.asked.clear()
    assert rounds(fake, account) == []
    assert [method for method, *_ in fake.asked] == ["GET"]


def test_a_node_that_does_not_answer_keeps_its_cost_and_holds_nobody_up(fake, account):
    fake.node("ws-sick", 2, None)
    fake.node("ws-full", 3, 2000)
    output = rounds(fake, account)
    assert (fake.cost("ws-sick"), fake.cost("ws-full")) == (None, "2000")
    assert output[0].startswith("ws-sick did not answer")


def test_a_renewed_token_is_used(fake, account):
    rounds(fake, account)
    (account / "token").write_text("second")
    rounds(fake, account)
    assert [token for *_, token in fake.asked] == ["Bearer first", "Bearer second"]


def test_what_the_api_server_refuses_ends_the_round(fake, account):
    fake.node("ws-full", 2, 2000)
    fake.refuse = 403
    with pytest.raises(urllib.error.HTTPError, match="403"):
        rounds(fake, account)


def test_a_pod_that_has_gone_meanwhile_is_nothing_to_end_for(fake, account):
    fake.node("ws-full", 2, 2000)
    fake.refuse = 404
    assert rounds(fake, account) == []
