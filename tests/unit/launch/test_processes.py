from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flwr_digest.errors import DigestError
from flwr_digest.launch.credentials import server_files
from flwr_digest.launch.leftovers import leftover_processes
from flwr_digest.launch.ports import LOOPBACK
from flwr_digest.launch.processes import Process, last_lines
from flwr_digest.launch.waiting import wait_until
from flwr_digest.launch.workspace import Workspace
from tests.support.places import reserved_ports

MOST_SECONDS = 120.0  # past that something hangs
SLEEP = "import time; time.sleep(600)"

STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up'); {SLEEP}"

# Has a child in a session of its own, as Ray and Flower's executor do, and ends when asked to.
WITH_DETACHED_CHILD = f"""
import subprocess, sys
subprocess.Popen([sys.executable, "-c", {SLEEP!r}], start_new_session=True)
print("up")
{SLEEP}
"""

# The same, but the child has wiped out its environment, as Ray's workers do.
WITH_UNMARKED_CHILD = WITH_DETACHED_CHILD.replace("_session=True", "_session=True, env={}")

# Its child has a child, and ends: no chain of parents leads to the grandchild.
WITH_ORPHAN = f"""
import subprocess, sys
inner = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEP!r}], " \\
    "start_new_session=True)"
subprocess.run([sys.executable, "-c", inner])
print("up")
{SLEEP}
"""

SERVER = """
import ssl, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Healthy(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()

server = HTTPServer(("127.0.0.1", int(sys.argv[1])), Healthy)
if len(sys.argv) > 2:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*sys.argv[2:])
    server.socket = tls.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    workspace = Workspace.create(tmp_path, {})
    yield workspace
    workspace.remove()


def start(workspace: Workspace, role: str, program: str, *arguments: str) -> Process:
    return Process(workspace, role, [sys.executable, "-c", program, *arguments])


def wait_until_up(process: Process) -> None:
    wait_until(lambda: "up" in last_lines(process.log_path), MOST_SECONDS, "the process to be up")


@pytest.mark.parametrize(
    ("program", "expected"),
    [(STUBBORN, 1), (WITH_DETACHED_CHILD, 2), (WITH_UNMARKED_CHILD, 2), (WITH_ORPHAN, 2)],
    ids=["stubborn", "detached child", "unmarked child", "orphan"],
)
@pytest.mark.parametrize("how", [Process.stop, Process.kill], ids=["stop", "kill"])
def test_nothing_is_left(
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    program: str,
    expected: int,
    how: Callable[[Process], None],
) -> None:
    monkeypatch.setattr("flwr_digest.launch.processes.GRACE_SECONDS", 1.0)
    process = start(workspace, "tree", program)
    wait_until_up(process)
    found = leftover_processes(workspace.launch)
    assert len(found) == expected

    how(process)

    assert not any(each.is_running for each in found)
    assert leftover_processes(workspace.launch) == []


def test_only_the_own_role_is_ended(workspace: Workspace) -> None:
    one, other = (start(workspace, role, SLEEP) for role in ("node-1", "node-10"))
    try:
        one.kill()

        assert other.is_running
        assert len(leftover_processes(workspace.launch)) == 1
        assert leftover_processes(f"{workspace.launch}/node-1") == []
    finally:
        other.kill()


def test_another_launch_is_none_of_ours(workspace: Workspace) -> None:
    process = start(workspace, "other", SLEEP)
    try:
        assert leftover_processes("f" * 32) == []
    finally:
        process.kill()


def test_stopping_twice_is_fine(workspace: Workspace) -> None:
    process = start(workspace, "short", "pass")
    process.stop()
    process.stop()

    assert not process.is_running


def test_waits_for_a_server_to_answer(workspace: Workspace) -> None:
    [port] = reserved_ports(workspace, 1)
    process = start(workspace, "server", SERVER, str(port))
    try:
        process.wait_until_healthy(f"{LOOPBACK}:{port}", timeout_seconds=MOST_SECONDS)
    finally:
        process.stop()


def test_a_server_with_tls_must_be_the_one_that_is_trusted(
    workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    files, other = server_files(tmp_path), server_files(tmp_path / "other")
    [port] = reserved_ports(workspace, 1)
    address = f"{LOOPBACK}:{port}"
    process = start(workspace, "server", SERVER, str(port), str(files.certificate), str(files.key))
    try:
        process.wait_until_healthy(address, MOST_SECONDS, files.ca_certificate)

        with pytest.raises(DigestError, match=f"in vain for server at {address}"):
            process.wait_until_healthy(address, 0.1, other.ca_certificate)
    finally:
        process.stop()


def test_asked_to_end_all_at_once_they_do(workspace: Workspace) -> None:
    processes = [start(workspace, f"node-{node}", SLEEP) for node in range(2)]
    for each in processes:
        each.ask_to_end()
    for each in processes:
        each.stop()

    assert not any(each.is_running for each in processes)
    assert leftover_processes(workspace.launch) == []


def test_a_server_that_dies_shows_its_last_words(workspace: Workspace) -> None:
    [port] = reserved_ports(workspace, 1)
    process = start(workspace, "server", "import sys; sys.exit('no such thing')")
    try:
        with pytest.raises(
            DigestError, match=r"^server ended with code 1 while it started, see (.|\n)*no such"
        ):
            process.wait_until_healthy(f"{LOOPBACK}:{port}", timeout_seconds=MOST_SECONDS)
    finally:
        process.stop()


def test_a_server_that_never_answers_is_given_up(workspace: Workspace) -> None:
    address = f"{LOOPBACK}:{reserved_ports(workspace, 1)[0]}"
    process = start(workspace, "server", SLEEP)
    try:
        with pytest.raises(DigestError, match=f"in vain for server at {address}"):
            process.wait_until_healthy(address, timeout_seconds=0.1)
    finally:
        process.kill()


def test_last_lines_of_a_file(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert last_lines(log) == ""

    log.write_text("one\ntwo\nthree\n")
    assert last_lines(log, 2) == "two\nthree"
