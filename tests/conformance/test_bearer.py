"""Bearer tokens from a browser, which can send them as a subprotocol only, over each real server."""

import pytest

from tests.contract.servers import COMMANDS, running

OPEN = """
window.outcome = "";
const socket = new WebSocket(`ws://${location.host}/token/`, %s);
socket.onmessage = socket.onclose = (event) => {
  window.outcome ||= event.code ? `closed ${event.code}` : `message as ${socket.protocol}`;
};
"""


@pytest.fixture(scope="module", params=COMMANDS)
def server(request, tmp_path_factory):
    with running(request.param, tmp_path_factory.mktemp("bearer")) as started:
        yield started


@pytest.mark.parametrize(
    ("subprotocols", "outcome"),
    [
        (["tidewire.bearer", "good"], "message as tidewire.bearer"),
        (["tidewire.bearer", "expired"], "closed 4005"),
        (["tidewire.bearer", "wrong"], "closed 4501"),
        (["tidewire.bearer"], "closed 4501"),
        ([], "closed 4500"),
    ],
)
def test_a_token_decides_whether_a_browser_is_let_in(chromium, server, subprotocols, outcome):
    tab = chromium.tab()
    try:
        tab.goto(f"http://127.0.0.1:{server.port}/")
        # Daphne resets a socket whose close is not answered within 1 s, and a busy browser then sees no code.
        for _attempt in range(3 if server.name == "daphne" else 1):
            tab.evaluate(OPEN % subprotocols)
            tab.wait("window.outcome !== ''")
            if (seen := tab.evaluate("window.outcome")) != "closed 1006":
                break
        assert seen == outcome
    finally:
        tab.close()
