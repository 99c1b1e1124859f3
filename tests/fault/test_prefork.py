"""Programs of several processes that share a listening socket, when the one that limpet has started dies: the others may still take
what lies in that socket, and nobody else may have it until they cannot."""
import contextlib
import os
import signal

import pytest

from harness import paths
from harness.processes import children_of
from harness.wait import wait_until


class Parent:
    """A worker that has ended, with hand-offs in its socket and a child that is busy with another client."""

    def __init__(self, play, count=10):
        self.play = play
        self.worker = play.worker("0")
        self.child, = children_of(self.worker.pid)
        source = play.source("0")
        self.busy = play.half(source)
        wait_until(lambda: play.slot("0")["unacknowledged"] == 0, "the child has it")
        self.asked = [play.ask(source) for _ in range(count)]
        play.wait_slot("0", unacknowledged=count)
        self.worker.signal(signal.SIGKILL)
        play.front.wait_replaced("0", self.worker.pid)

    def served_by(self):
        return {one.answer()["pid"] for one in self.asked}


@pytest.fixture
def parent(scene):
    made = []

    def make(**options):
        play = scene(**{"command": paths.PREFORK, "protocol": "accept", "workers": 2, "on_down": "next", "kill_timeout": "1m",
                        "stuck_timeout": "1m", **options})
        made.append((play, Parent(play)))
        return made[-1]

    yield make
    for play, one in made:
        for pid in (one.child, *play.front.pids("python3")):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_the_others_take_it(parent):
    play, one = parent()
    assert play.counter("redispatched") == 0
    one.busy.finish()
    assert one.served_by() == {one.child}
    one.busy.answer()
    play.account()


def test_the_others_end(parent):
    play, one = parent()
    assert play.counter("redispatched") == 0
    os.kill(one.child, signal.SIGKILL)
    assert one.child not in one.served_by()
    assert play.counter("redispatched") == len(one.asked)
    play.account(perhaps=[one.busy.number])


def test_the_others_do_neither(parent):
    """What is theirs stays theirs."""
    play, one = parent(kill_timeout="300ms")
    play.front.wait_for("10 connections are left to it")
    assert play.counter("unanswered") == 10
    one.busy.finish()
    assert one.served_by() == {one.child}
    assert play.counter("redispatched") == 0
    play.account()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR2])
def test_the_router_is_replaced_meanwhile(parent, number):
    play, one = parent()
    old = play.router()
    play.front.send_signal(number)
    wait_until(lambda: play.router() != old, "another router")
    one.busy.finish()
    assert one.served_by() == {one.child}
    play.account()


def test_without_an_agent_the_others_take_nothing(parent):
    """It ends with the one that it has started; then those who are left accept nothing any more."""
    if not paths.agent().exists():
        pytest.skip("limpet was built without libseccomp")
    play, one = parent(accept="seccomp")
    assert one.child not in one.served_by()
    play.account(perhaps=[one.busy.number])


def test_one_ends_between_taking_and_saying_so(scene):
    """Its client is lost, but the others are not stuck because of it."""
    play = scene(command=[*paths.PREFORK, "drops"], protocol="accept", accept="preload", workers=1, stuck_timeout="300ms")
    lost = play.ask()
    with lost.connection:
        assert lost.connection.read_all() == b""
    play.front.wait_for("worker 0 has taken 1 connections and never said so")
    play.get()
    assert play.counter("workers_stuck") == 0
    play.account(perhaps=[lost.number])


REPLACES = r"""
import os, socket, threading
journal = os.open(os.path.join(os.environ["FAULT_DIR"], "accepted"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
first, second = socket.socket(), socket.socket()
for one in (first, second):
    one.bind(("127.0.0.1", 0))
    one.listen(10)
def accept():
    while True:
        try:
            connection, address = first.accept()
        except OSError as error:
            os.write(journal, b"error %d\n" % error.errno)
            continue
        os.write(journal, b"%d\n" % address[1])
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        connection.close()
thread = threading.Thread(target=accept)
thread.start()
# It sleeps in a system call on that socket, not for the interpreter's lock.
call = f"/proc/self/task/{thread.native_id}/syscall"
while open(call).read().split()[1:2] != [hex(first.fileno())]:
    pass
os.dup2(second.fileno(), first.fileno())
second.close()
os.write(journal, b"replaced\n")
"""


def test_the_socket_is_replaced_while_a_thread_waits_there(scene):
    """What it gets from the one that it waited at is another worker's when that one has ended: never both have it."""
    play = scene(command=["/usr/bin/python3", "-S", "-E", "-c", REPLACES], protocol="accept", accept="preload", workers=2)
    accepted = play.directory / "accepted"
    wait_until(lambda: accepted.exists() and accepted.read_text().count("replaced") == 2, "both have replaced it")
    with contextlib.ExitStack() as stack:
        ports = []
        for number in range(1, 30):
            asked = play.ask(f"127.0.8.{number}")
            connection = stack.enter_context(asked.connection)
            assert connection.response().status == 200
            ports.append(connection.socket.getsockname()[1])
    lines = accepted.read_text().split("\n")
    assert [lines.count(str(port)) for port in ports] == [1] * len(ports), lines
    assert sum(line.startswith("error") for line in lines) == 2
