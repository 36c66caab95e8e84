"""A server that cannot start reports the reason and ends: it must never serve only a part."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest

from deploy.local.layout import LOOPBACK, ROOT, free_port
from tests.contract.servers import COMMANDS, running

# Besides the 20 s within which a node that hangs ends.
BUSY_SECONDS = 20.0


def started(port: int, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a server that should end at once."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("TIDEWIRE_", "DJANGO_"))}
    return subprocess.run(
        [sys.executable, *COMMANDS["tidewire"](port)],
        cwd=ROOT,
        env=env | {"PYTHONPATH": f"{ROOT}/src:{ROOT}/services:{ROOT}"} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def refused(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((LOOPBACK, port)) != 0


def ended(done, port, *words):
    assert done.returncode == 1, done.stderr
    [line] = [line for line in done.stderr.splitlines() if "did not start" in line]
    for word in words:
        assert word in line
    assert "Traceback" not in done.stderr
    assert refused(port)


def test_a_taken_admin_port_ends_the_start():
    """The node served without health and metrics, and ended without a drain on SIGTERM."""
    port = free_port()
    with socket.create_server((LOOPBACK, 0)) as taken:
        admin = taken.getsockname()[1]
        done = started(port, CONTRACT_ADMIN_PORT=str(admin))
    ended(done, port, f"admin port {LOOPBACK}:{admin}", "already in use", "TIDEWIRE_ADMIN_PORT")


def test_an_admin_address_of_another_host_ends_the_start():
    port = free_port()
    done = started(port, CONTRACT_ADMIN_PORT=str(free_port()), CONTRACT_ADMIN_HOST="192.0.2.1")
    ended(done, port, "admin port 192.0.2.1")


def test_a_taken_port_ends_the_start():
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        done = started(port)
        assert done.returncode == 1
        [line] = [line for line in done.stderr.splitlines() if "did not start" in line]
        assert f"{LOOPBACK}:{port}" in line
        assert "--port" in line


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ("none", ["CHANNEL_LAYERS has no 'default'", "channels_redis"]),
        ("backend", ["CHANNEL_LAYERS['default']", "no.such.Layer", "channels_redis"]),
        ("options", ["CHANNEL_LAYERS['default']", "unknown_option", "channels_redis"]),
    ],
)
def test_a_channel_layer_that_cannot_be_had_ends_the_start(layers, words):
    """The node started, and every socket failed without an explanation."""
    port = free_port()
    ended(started(port, CONTRACT_LAYERS=layers), port, *words)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ('{"NO_SUCH_SETTING": 1}', ["NO_SUCH_SETTING"]),
        ('{"REDIS_URL": ""}', ["REDIS_URL"]),
        ('{"GRACE_SECONDS": 60.0}', ["GRACE_SECONDS", "LEASE_SECONDS"]),
    ],
)
def test_settings_that_do_not_add_up_end_the_start(values, words):
    port = free_port()
    ended(started(port, CONTRACT_SETTINGS=values), port, *words)


@pytest.fixture
def old_django(tmp_path):
    """A directory in which Django claims to have an older version."""
    metadata = tmp_path / "django-4.2.30.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: Django\nVersion: 4.2.30\n")
    return tmp_path


def test_a_django_that_is_too_old_ends_the_start(old_django):
    port = free_port()
    done = started(port, PYTHONPATH=f"{old_django}:{ROOT}/src:{ROOT}/services:{ROOT}")
    ended(done, port, "Django 4.2.30 is too old", "pip install --upgrade 'Django>=5.2'")


def test_a_project_with_a_django_that_is_too_old_is_told(old_django):
    """The message must be the last line of the output of `manage.py`."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("TIDEWIRE_", "DJANGO_"))}
    environment |= {"PYTHONPATH": f"{old_django}:{ROOT}/src:{ROOT}/services", "TIDEWIRE_ENVIRONMENT": "development"}
    command = [sys.executable, "services/web/manage.py", "check"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1
    assert "ImproperlyConfigured: Django 4.2.30 is too old: tidewire needs 5.2" in done.stderr.splitlines()[-1]


def test_the_start_uses_nothing_that_is_deprecated():
    """A later Python will remove it: event loop policies end in 3.16. Warnings of other packages do not count."""
    with socket.create_server((LOOPBACK, 0)) as taken:
        done = started(taken.getsockname()[1], PYTHONWARNINGS="always")
    assert "did not start" in done.stderr
    own = [line for line in done.stderr.splitlines() if "/src/tidewire/" in line and "Deprecat" in line]
    assert own == []


def test_the_server_runs_on_uvloop_if_that_is_installed(tmp_path):
    expected = "uvloop" if importlib.util.find_spec("uvloop") else "asyncio.unix_events"
    with running("tidewire", tmp_path) as server:
        assert server.state()["loop"] == expected
        server.hang_up()


def test_a_step_of_the_start_that_fails_ends_it():
    """An exception of any step of the start must be read and must end the process."""
    port = free_port()
    done = started(port, CONTRACT_START_FAILS="1")
    assert done.returncode == 1
    [line] = [line for line in done.stderr.splitlines() if "did not start" in line]
    assert "no drainer" in line
    assert refused(port)


@pytest.mark.skipif(sys.platform != "linux", reason="closes a listener as Linux does")
class TestStandingStill:
    """A node that is stopped, or that has an event loop that hangs, must refuse new sockets until it continues."""

    def until(self, matches, seconds=15.0):
        end = time.monotonic() + seconds
        while not matches():
            assert time.monotonic() < end
            time.sleep(0.05)

    def test_a_stopped_node_refuses_and_listens_again(self, tmp_path):
        with running("tidewire", tmp_path) as server:
            open_socket = server.open("bad/Good")
            os.kill(server.process.pid, signal.SIGSTOP)
            with socket.create_connection((LOOPBACK, server.port), timeout=15) as waiting:
                waiting.sendall(b"GET / HTTP/1.1\r\n")
                # The kernel accepted the connection for the node: it must be reset, not kept waiting.
                with pytest.raises(ConnectionResetError):
                    waiting.recv(1)
            self.until(lambda: refused(server.port))
            os.kill(server.process.pid, signal.SIGCONT)
            self.until(lambda: not refused(server.port))
            assert server.state()["connections"] == 1, "the open socket lived through it"
            open_socket.say('{"type":"ping"}')
            open_socket.socket.settimeout(5)
            while b"pong" not in open_socket.socket.recv(65536):
                pass
            server.hang_up()

    def test_a_node_that_goes_on_hanging_logs_its_stacks_and_ends(self, tmp_path):
        """A supervisor starts a process again that ends with an error; a process that hangs is nothing to it."""
        with running("tidewire", tmp_path) as server:
            client = server.open("block/now")
            client.say('{"type":"ping"}')
            assert server.process.wait(20 + BUSY_SECONDS) == -signal.SIGKILL
            assert client.ended()
            log = server.log.read_text()
            assert "has hung for 15 s" in log
            assert "most recent call first" in log
            assert "in ping" in log
            assert "contract_application.py" in log
            self.until(lambda: refused(server.port), 3.0)
            server.hang_up()

    def test_a_node_that_stays_stopped_is_killed(self, tmp_path):
        """A stopped process cannot end itself."""
        with running("tidewire", tmp_path) as server:
            client = server.open("bad/Good")
            os.kill(server.process.pid, signal.SIGSTOP)
            assert server.process.wait(20 + BUSY_SECONDS) == -signal.SIGKILL
            assert client.ended()
            server.hang_up()

    def test_a_node_whose_machine_stood_still_goes_on(self, tmp_path):
        """A paused container or virtual machine: the clock has moved on, and the watchdog has not run either."""
        with running("tidewire", tmp_path) as server:
            client = server.open("bad/Good")
            node = psutil.Process(server.process.pid)
            members = [node, *node.children(recursive=True)]
            assert len(members) == 2, "there is a watchdog"
            for each in reversed(members):
                each.suspend()
            # Longer than any limit on a hang.
            time.sleep(20)
            for each in members:
                each.resume()
            client.say('{"type":"ping"}')
            client.socket.settimeout(5 + BUSY_SECONDS)
            while b"pong" not in client.socket.recv(65536):
                pass
            assert server.process.poll() is None
            server.hang_up()

    def test_a_node_without_its_watchdog_ends_by_itself(self, tmp_path):
        with running("tidewire", tmp_path) as server:
            [watchdog] = psutil.Process(server.process.pid).children()
            watchdog.kill()
            self.until(lambda: "the watchdog has ended" in server.log.read_text())
            server.open("block/now").say('{"type":"ping"}')
            assert server.process.wait(20 + BUSY_SECONDS) == 1
            assert "in ping" in server.log.read_text()
            server.hang_up()

    def test_a_killed_node_leaves_nothing_that_listens(self, tmp_path):
        with running("tidewire", tmp_path) as server:
            server.process.kill()
            server.process.wait()
            self.until(lambda: refused(server.port), 3.0)

    def test_a_node_that_drains_ends_and_refuses(self, tmp_path):
        """SIGTERM arrives during the hang, and afterwards the port must be free for the next process."""
        with running("tidewire", tmp_path) as server:
            client = server.open("bad/Good")
            server.process.send_signal(signal.SIGTERM)
            assert client.ended()
            assert server.process.wait(10) == 0
            assert refused(server.port)
            server.hang_up()
            with socket.create_server((LOOPBACK, server.port), reuse_port=False):
                pass
