"""Protocol accept: what a program has closed is out of its epoll sets, though the front has a copy of the socket until it has read
the acknowledgement. Programs count on it: their entries point to memory that they free."""
import contextlib
import os
import shutil
import signal
import subprocess

import pytest

from harness import paths
from harness.http import Connection, request
from harness.wait import wait_until
from integration.test_accept_shim import PYTHON, free_port, freeze, slots_of

EVERYWHERE = ["close", "syscall", "fclose", "dup2", "dup3", "range-syscall", "copy", "copy-fcntl", "two-numbers", "sets", "moved",
              "again", "signal"]
GLIBC = ["Range", "Closefrom"]
CHILDREN = ["fork-close", "fork-range", "fork-dup2", "fork-registers", "fork-raw", "vfork-close", "vfork-range", "vfork-dup2",
            "spawn"]
NOTHING_CLOSED = ["none-dup2", "none-dup3", "none-range"]
BUILDS = {"glibc": ["cc"], "musl": ["musl-gcc"], "sanitizer": ["cc", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]}


@pytest.fixture(name="start", scope="module")
def _start(tmp_path_factory):
    """start(limpet, build): a front with one worker, the server so built, and the worker's pid."""
    directory = tmp_path_factory.mktemp("programs")

    def start(limpet, build):
        program = directory / build
        if build == "musl" and not (shutil.which("musl-gcc") and (
                paths.build() / "src/worker/accept/liblimpet-accept-musl.so").exists()):
            pytest.skip("no musl")
        if not program.exists():
            subprocess.run([*BUILDS[build], "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-o", program,
                            paths.APPS / "epoll-server.c"], check=True)
        environment = {"FREES": "1", "ASAN_OPTIONS": "verify_asan_link_order=0"} if build == "sanitizer" else {}
        front = limpet([program, free_port()], workers=1, protocol="accept", env=environment)
        return front, front.wait_ready(1)["0"]
    return start


def answer(connection, path="/"):
    response = connection.get(path)
    assert response.status == 200
    return [int(word) for word in response.body.split()]


@contextlib.contextmanager
def stopped(*pids):
    try:
        for pid in pids:
            freeze(pid)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def closed_while_the_front_has_a_copy(front, worker, path):
    """A connection on which the answer has come, closed by the worker, but not by the router, which is stopped."""
    wait_until(lambda: slots_of(front)[0]["unacknowledged"] == 0, "none is under way")
    router = front.router()
    try:
        with stopped(worker):
            client = Connection(front.address)
            client.send(request(path))
            wait_until(lambda: slots_of(front)[0]["unacknowledged"] == 1, "it is under way")
            freeze(router)
        with client:
            assert client.response().status == 200
            yield client
            os.kill(router, signal.SIGCONT)
            assert client.ended()
    finally:
        os.kill(router, signal.SIGCONT)


@pytest.mark.parametrize("build,way", [(build, way) for build in BUILDS for way in EVERYWHERE] + [
    (build, way) for build in ("glibc", "sanitizer") for way in GLIBC])
def test_what_is_closed_reports_nothing(limpet, start, build, way):
    front, worker = start(limpet, build)
    with Connection(front.address) as other:
        assert answer(other) == [worker, 0]
        with closed_while_the_front_has_a_copy(front, worker, f"/close/{way}") as client:
            # An answer to another says that the program has done with this one.
            assert answer(other) == [worker, 0]
            client.socket.setblocking(False)
            with pytest.raises(BlockingIOError):  # the copy is there: else it would have ended
                client.socket.recv(1)
            client.socket.settimeout(10)
            client.send(b"more")
            assert answer(other) == [worker, 0]
            client.socket.shutdown(1)
            assert answer(other) == [worker, 0]
        # The fd's number is somebody else's now, who is served.
        with Connection(front.address) as next_one:
            assert answer(next_one) == [worker, 0]
            assert answer(next_one) == [worker, 0]


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("way", CHILDREN + NOTHING_CLOSED)
def test_what_a_child_closes_goes_on_in_the_parent(limpet, start, build, way):
    """They share the set, and the child's copy has the same number: only the process that registered it takes it out."""
    front, worker = start(limpet, build)
    with Connection(front.address) as connection, Connection(front.address) as other:
        assert answer(other) == [worker, 0]
        assert answer(connection, f"/child/{way}") == [worker, 0]
        assert answer(connection) == [worker, 0]
        assert answer(other) == [worker, 0]
    # And what the parent itself closes later is out of the set.
    with Connection(front.address) as other:
        assert answer(other) == [worker, 0]
        with closed_while_the_front_has_a_copy(front, worker, "/close/close") as client:
            client.send(b"more")
            assert answer(other) == [worker, 0]


PYTHON_SERVER = """
import os, select, socket, subprocess, sys
listening = socket.create_server(("127.0.0.1", int(sys.argv[1])))
epoll = select.epoll()
epoll.register(listening, select.EPOLLIN)
connections = {}
while True:
    for fd, _ in epoll.poll():
        if fd == listening.fileno():
            connection, _ = listening.accept()
            connections[connection.fileno()] = connection
            epoll.register(connection, select.EPOLLIN)
        elif not (head := connections[fd].recv(65536)):
            connections.pop(fd).close()
        else:
            if b"/child" in head:
                subprocess.run(["true"], close_fds=True, check=True)
                subprocess.run("true", shell=True, pass_fds=[fd], check=True)
                os.system("true")
            body = b"%d 0" % os.getpid()
            connections[fd].sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(body), body))
"""


def test_subprocesses_of_python(limpet):
    """They close everything, and they do it in their parent's memory."""
    front = limpet([PYTHON, "-c", PYTHON_SERVER, free_port()], workers=1, protocol="accept")
    worker = front.wait_ready(1)["0"]
    with Connection(front.address) as connection, Connection(front.address) as other:
        assert answer(other) == [worker, 0]
        assert answer(connection, "/child") == [worker, 0]
        assert answer(connection) == [worker, 0]
        assert answer(other) == [worker, 0]
