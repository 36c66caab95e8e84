"""A browser that is too busy to answer a close at once, over real servers."""

import pytest

from tests.contract.servers import running

OPEN = """
window.code = 0;
window.socket = new WebSocket(`ws://${location.host}/record/busy/`);
window.socket.onclose = (event) => { window.code = event.code; };
new Promise((resolve) => { window.socket.onopen = resolve; });
"""
# Longer than autobahn's time for the answer, and shorter than tidewire's.
BUSY_SECONDS = 2.0


@pytest.mark.parametrize("name", ["tidewire", "uvicorn"])
def test_a_busy_browser_sees_the_close_code(chromium, tmp_path, name):
    """The server reset the connection after a second, and the page saw 1006: it reconnected after its logout.

    A browser reports the code only after it has written its answer. Daphne still resets after a second.
    """
    with running(name, tmp_path) as server:
        tab = chromium.tab()
        try:
            tab.goto(f"http://127.0.0.1:{server.port}/")
            tab.evaluate(OPEN)
            tab.evaluate("window.socket.send('close me later')")
            chromium.stop(BUSY_SECONDS)
            tab.wait("window.code !== 0")
            assert tab.evaluate("window.code") == 4000
        finally:
            tab.close()
