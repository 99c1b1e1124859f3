"""Programs of several processes that share a listening socket, when the one that limpet has started dies: the others may still take
what lies in that socket, and nobody else may have it until they cannot."""
import contextlib
import os
import signal

import pytest

from harness import paths
from harness.wait import wait_until

PREFORK = ["/usr/bin/python3", "-S", "-E", str(paths.TESTS / "workers" / "prefork.py"), "1"]


class Parent:
    """A worker that has ended, with hand-offs in its socket and a child that is busy with another client."""

    def __init__(self, play, count=10):
        self.play = play
        self.worker = play.worker("0")
        with open(f"/proc/{self.worker.pid}/task/{self.worker.pid}/children", encoding="ascii") as children:
            self.child = int(children.read())
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
        play = scene(**{"command": PREFORK, "protocol": "accept", "workers": 2, "on_down": "next", "kill_timeout": "1m",
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
    wait_until(lambda: play.router() not in (0, old), "another router")
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
