"""Centrifugo is found where the environment says, configured as a comparable peer, and published to by its API."""

import base64
import hmac
import http.client
import json
from types import SimpleNamespace

import pytest

from bench import centrifugo
from bench.compared_servers import find
from bench.event_publisher import HTTP_PORT, to_centrifugo
from bench.measure_fanout import EVENT_BYTES
from tidewire.conf import settings


def test_it_is_skipped_with_the_command_that_installs_it(monkeypatch, tmp_path):
    monkeypatch.delenv("BENCH_CENTRIFUGO", raising=False)
    assert "go install" in find("centrifugo").missing()
    monkeypatch.setenv("BENCH_CENTRIFUGO", str(tmp_path))
    assert "BENCH_CENTRIFUGO" in find("centrifugo").missing()
    (tmp_path / "centrifugo").touch()
    assert find("centrifugo").missing() is None
    assert centrifugo.program() == tmp_path / "centrifugo"


def test_version_is_that_of_the_module(monkeypatch, tmp_path):
    """The program itself answers 0.0.0."""
    (tmp_path / "centrifugo").touch()
    monkeypatch.setenv("BENCH_CENTRIFUGO", str(tmp_path))
    said = f"{tmp_path}/centrifugo: go1.26\n\tpath\tx\n\tmod\tgithub.com/centrifugal/centrifugo/v6\tv6.9.1\th1:x=\n"
    monkeypatch.setattr(centrifugo, "output", lambda *_: said)
    assert centrifugo.version() == "6.9.1"
    monkeypatch.setattr(centrifugo, "output", lambda *_: "")
    assert centrifugo.version() == "unknown"


def test_history_and_positioning_are_on_and_as_long_as_tidewires():
    channel = centrifugo.configuration(8000)["channel"]["without_namespace"]
    assert (channel["force_positioning"], channel["force_recovery"]) == (True, True)
    assert settings().HISTORY_SECONDS == 24 * 3600
    assert (channel["history_size"], channel["history_ttl"]) == (settings().HISTORY_LENGTH, "24h")


def test_token_is_signed_with_the_secret_of_the_configuration():
    head, claims, signature = centrifugo.token().split(".")
    secret = centrifugo.configuration(1)["client"]["token"]["hmac_secret_key"]
    signed = hmac.digest(secret.encode(), f"{head}.{claims}".encode(), "sha256")
    assert base64.urlsafe_b64encode(signed).rstrip(b"=").decode() == signature
    assert json.loads(base64.urlsafe_b64decode(claims + "=="))["sub"] == "load"


@pytest.fixture
def api(monkeypatch):
    """The API as far as the publisher knows it. Returns the requests, and the answer as a list to change."""
    requests, answer = [], [b"{}"]

    class Connection:
        def __init__(self, _host, port, timeout):
            assert (port, timeout > 0) == (8000, True)

        def request(self, method, path, body, headers):
            requests.append((method, path, headers["X-API-Key"], json.loads(body)))

        def getresponse(self):
            return SimpleNamespace(status=200, read=lambda: answer[0])

    monkeypatch.setattr(http.client, "HTTPConnection", Connection)
    monkeypatch.setenv(HTTP_PORT, "8000")
    return requests, answer


@pytest.mark.parametrize("n", [0, 9, 1234])
async def test_push_has_the_size_of_other_servers_events(api, n):
    requests, _ = api
    await to_centrifugo()(n, EVENT_BYTES)
    [(method, path, key, body)] = requests
    assert (method, path, key, body["channel"]) == ("POST", "/api/publish", centrifugo.API_KEY, "bench")
    push = {"push": {"channel": "bench", "pub": {"data": body["data"], "offset": n + 1}}}
    assert len(json.dumps(push, separators=(",", ":"))) == EVENT_BYTES
    assert body["data"]["n"] == n


async def test_error_in_an_answer_of_200_ends_the_publisher(api):
    _, answer = api
    answer[0] = b'{"error":{"code":102,"message":"unknown channel"}}'
    with pytest.raises(RuntimeError, match="unknown channel"):
        await to_centrifugo()(0, EVENT_BYTES)
