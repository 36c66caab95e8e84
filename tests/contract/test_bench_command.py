"""`tidewire bench` measures chats of strangers, finds planted faults, and names wrong input in one line."""

import os
import re
import signal
import subprocess
import sys
import time

import psutil
import pytest

from deploy.local.layout import ROOT

FAULTY = "tests.contract.faulty_broadcast:application"
SECONDS = 300.0


def bench(*arguments, **environment):
    """Run a small measurement and return the process that has ended."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("TIDEWIRE_", "DJANGO_"))}
    return subprocess.run(
        [sys.executable, "-m", "tidewire", "bench", *arguments],
        cwd=ROOT,
        env=kept | {"PYTHONPATH": f"{ROOT}/src:{ROOT}"} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )


def small(*arguments, **environment):
    """The same with few sockets and one round."""
    sizes = ("--sockets", "6", "--messages", "15", "--rounds", "1")
    return bench(*arguments, *sizes, **environment)


def rows(done):
    """Return the last three numbers of both rows: lost, doubled, reordered."""
    found = re.findall(r"^(before|after) .* (\d+) +(\d+) +(\d+)$", done.stdout, re.MULTILINE)
    assert [name for name, *_ in found] == ["before", "after"], done.stdout + done.stderr
    return [tuple(map(int, counts)) for _, *counts in found]


def only_line(done, status):
    assert done.returncode == status, done.stdout + done.stderr
    assert done.stdout == ""
    [line] = [line for line in done.stderr.splitlines() if not line.startswith("[")]
    return line.removeprefix("tidewire bench: ")


@pytest.mark.parametrize(
    ("application", "path"),
    [
        ("examples.chat.asgi:application", "/ws/chat/room/"),
        ("tests.contract.chat.asgi:application", "/ws/chat/room/"),
        ("tests.contract.chat.asgi:application", "/ws/sync/room/"),
    ],
)
def test_a_chat_is_measured_before_and_after(application, path):
    done = small(application, path)
    assert done.returncode == 0, done.stderr
    assert rows(done) == [(0, 0, 0)] * 2
    assert f"{path}: 6 sockets, 15 messages, a message reaches 6 sockets; rounds: 1" in done.stdout
    assert re.search(r"^before: .* -m daphne .*\nafter: .* -m tidewire ", done.stdout, re.MULTILINE)
    first, second = done.stderr.splitlines()
    assert re.fullmatch(r"\[1/2\] round 1, before: \d+ us per frame, p99 \d+ ms", first)
    assert re.fullmatch(r"\[2/2\] round 1, after, about \d+ s left: \d+ us per frame, p99 \d+ ms", second)


def test_each_planted_fault_is_found_and_fails_the_command():
    done = small(FAULTY, "/?loses&doubles&swaps")
    assert done.returncode == 1
    assert rows(done) == [(1, 6, 6)] * 2
    assert "1 lost, 6 doubled, 6 reordered" in done.stderr


def test_the_present_server_may_be_any_command():
    """Here it has faults that tidewire's application has not, so each command serves its own."""
    faulty = f"{sys.executable} -m daphne -b 127.0.0.1 -p {{port}} --root-path /faulty {FAULTY}"
    done = small(FAULTY, "/?echo", "--before", faulty)
    assert done.returncode == 0, done.stderr
    assert f"before: {faulty}" in done.stdout
    assert "a message reaches its sender" in done.stdout


def test_uvicorn_may_be_the_present_server_and_its_compression_is_named():
    pytest.importorskip("uvicorn")
    command = f"{sys.executable} -m uvicorn --host 127.0.0.1 --port {{port}} tests.contract.chat.asgi:application"
    done = small("tests.contract.chat.asgi:application", "/ws/chat/room/", "--before", command)
    assert done.returncode == 0, done.stderr
    assert rows(done) == [(0, 0, 0)] * 2
    assert "Only the server of before compresses messages" in done.stdout


def test_messages_without_a_number_are_counted_and_their_order_is_not_checked():
    done = small(FAULTY, "/", "--send", '{"message": "hi"}')
    assert done.returncode == 0, done.stderr
    assert "a message reaches 6 sockets" in done.stdout
    assert "--send has no {number}" in done.stdout


def test_a_login_is_a_header():
    """Without it, the answer names the option."""
    line = only_line(small(FAULTY, "/?login"), 1)
    assert line.startswith("before: socket 1 was refused at /?login with 403")
    assert "--header 'Cookie: sessionid=...'" in line
    assert small(FAULTY, "/?login", "--header", "Cookie: sessionid=ada").returncode == 0


def test_a_handshake_that_a_busy_server_did_not_answer_is_repeated():
    """A measurement of minutes must not fail because one of a thousand handshakes took longer than Daphne waits."""
    done = small(FAULTY, "/?busy")
    assert done.returncode == 0, done.stderr
    assert "a message reaches 6 sockets" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no.such.asgi:application", "/"], ["before: the server did not start: ", "no.such"]),
        ([FAULTY, "/?raises"], ["no socket received a frame", "sockets were closed with 4500", "--send"]),
        (
            [FAULTY, "/", "--before", "/no/such/server {port}"],
            ["before: the server did not start: ", "/no/such/server"],
        ),
    ],
)
def test_a_measurement_that_is_not_possible_names_the_reason(arguments, words):
    line = only_line(small(*arguments), 1)
    assert [word for word in words if word not in line] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "the following arguments are required: application, path"),
        (["asgi.py", "/"], "'asgi.py' is no application: name it as project.asgi:application"),
        ([FAULTY, "ws/room/"], "'ws/room/' is no path: it begins with /"),
        ([FAULTY, "/", "--sockets", "0"], "--sockets: '0' is no number above 0"),
        ([FAULTY, "/", "--rounds", "many"], "--rounds: 'many' is no number above 0"),
        ([FAULTY, "/", "--before", "daphne x:y"], "'daphne x:y' has no {port}"),
        ([FAULTY, "/", "--before", "daphne '{port}"], "is no command: No closing quotation"),
        (
            [FAULTY, "/", "--header", "sessionid=ada"],
            "'sessionid=ada' is no header: write it as 'Cookie: sessionid=...'",
        ),
        ([FAULTY, "/", "--speed", "9"], "unrecognized arguments: --speed 9"),
    ],
)
def test_wrong_input_is_named_in_one_line(arguments, words):
    assert words in only_line(bench(*arguments), 2)


def test_more_sockets_than_files_are_refused_at_once():
    limited = "ulimit -n 200; exec "
    command = f"{limited}{sys.executable} -m tidewire bench {FAULTY} / --sockets 500"
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT}/src:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert only_line(done, 1) == "this shell may open 200 files, and the sockets need 564: fewer --sockets"


def test_a_measurement_that_is_ended_leaves_no_server():
    command = [sys.executable, "-m", "tidewire", "bench", FAULTY, "/?silent", "--sockets", "3"]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}/src:{ROOT}"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        end = time.monotonic() + SECONDS
        while not (servers := psutil.Process(process.pid).children()):
            assert time.monotonic() < end
            time.sleep(0.05)
        # No socket gets a frame, so it waits.
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert errors.endswith("tidewire bench: interrupted\n")
    assert not any(server.is_running() for server in servers)


@pytest.mark.parametrize("name", ["websockets", "psutil"])
def test_a_missing_extra_is_named_with_its_command(tmp_path, name):
    (tmp_path / f"{name}.py").write_text(f"raise ModuleNotFoundError(\"No module named '{name}'\", name='{name}')\n")
    done = bench(FAULTY, "/", PYTHONPATH=f"{tmp_path}:{ROOT}/src:{ROOT}")
    assert (done.returncode, done.stderr) == (
        1,
        f"tidewire bench needs {name}, which is not installed: pip install 'tidewire[daphne,bench]'\n",
    )
