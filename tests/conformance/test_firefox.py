"""`client.js` in a second browser, observed from the server: Playwright cannot control Debian's Firefox."""

import asyncio
import shutil
import subprocess

import pytest

from tests.conformance.scripted_server import Server
from tests.tabs import until

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
START_SECONDS = 180.0


@pytest.mark.skipif(FIREFOX is None, reason="needs Firefox")
def test_firefox_survives_one_odd_server_after_another(odd_server: Server, tmp_path):
    """A handshake without an answer, a server that is mute, one that aborts the connection, and a healthy one."""

    async def script(peer):
        if peer.number == 0:
            await asyncio.Event().wait()
        await peer.accept()
        if peer.number == 1:
            await peer.serve(pongs=False)
        elif peer.number == 2:
            await peer.say({"type": "resumed", "topic": "a", "at": "e1.m4:4", "recovered": True})
            await peer.say("no event")
            await peer.say({"type": "tick", "topic": "a", "id": "1", "offset": 5, "mark": "m5", "n": 1})
            await asyncio.sleep(0.5)
            peer.abort()
        else:
            await peer.serve()

    odd_server.begin(script)
    # Otherwise a new profile would open pages of its own and send requests to the network.
    (tmp_path / "user.js").write_text(
        'user_pref("browser.shell.checkDefaultBrowser", false);\n'
        'user_pref("datareporting.policy.dataSubmissionEnabled", false);\n'
        'user_pref("app.update.enabled", false);\n'
        'user_pref("network.captive-portal-service.enabled", false);\n'
        'user_pref("network.connectivity-service.enabled", false);\n',
        encoding="ascii",
    )
    firefox = subprocess.Popen(
        [FIREFOX, "--headless", "--no-remote", "--profile", str(tmp_path), f"{odd_server.url}/?open"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: len(odd_server.peers) == 4, START_SECONDS)
        until(lambda: len(odd_server.peers[3].messages) > 4)
    finally:
        firefox.terminate()
        firefox.wait(START_SECONDS)
    assert [peer.at for peer in odd_server.peers] == [[], [], [], ["a:e1.m5:5"]]
    assert odd_server.peers[1].close_code == 3001
