"""A slot's worker is down: what its clients get, by on_down."""
import os
import signal

import pytest

from harness.scene import SCRIPTED
from harness.wait import wait_until


def take_down(play, slot):
    """The slot's worker ends and its successors cannot start, until the returned function is called."""
    blocked = play.directory / "blocked"
    blocked.touch()
    worker = play.worker(slot)
    worker.signal(signal.SIGKILL)
    play.front.wait_for(rf"worker {slot} \(pid \d+\) exited with status 3")
    return blocked.unlink


@pytest.fixture
def play(scene):
    def start(**options):
        # "exec" keeps the pid that limpet knows.
        script = 'test "$LIMPET_SLOT" = 0 && test -e "$FAULT_DIR/blocked" && exit 3; exec "$@"'
        return scene(workers=2, command=["/bin/sh", "-c", script, "sh", *SCRIPTED], protocol="limpet", **options)
    return start


def test_hold_until_it_is_back(play):
    play = play(on_down="hold", hold="30s")
    source = play.source("0")
    before = play.files()
    allow = take_down(play, "0")
    held = [play.ask(source) for _ in range(5)]
    play.wait_slot("0", waiting=5)
    assert play.counter("held") == 5
    allow()
    for one in held:
        assert one.answer()["slot"] == "0"
    play.account()
    play.wait_files(before)


def test_hold_then_fail_over(play):
    play = play(on_down="hold", hold="700ms")
    source = play.source("0")
    allow = take_down(play, "0")
    held = [play.ask(source) for _ in range(5)]
    for one in held:
        assert one.answer()["slot"] == "1"
    # The time is over: who comes now does not wait.
    assert play.get(source)["slot"] == "1"
    allow()
    play.worker("0")
    assert play.get(source)["slot"] == "0"
    play.account()


def test_a_death_that_the_router_has_not_heard_of_yet(scene):
    """It finds a connection first, and then that the worker cannot be sent to."""
    play = scene(workers=3, protocol="limpet", on_down="hold", hold="60s")
    source = play.source("1")
    router = play.router()
    for _ in range(5):
        worker = play.worker("1")
        os.kill(router, signal.SIGSTOP)
        asked = play.ask(source)
        worker.signal(signal.SIGKILL)
        wait_until(lambda: worker.state() in (None, "Z"), "it is dead")
        os.kill(router, signal.SIGCONT)
        assert asked.answer()["slot"] == "1"
    play.account()


def test_a_death_that_is_seen_by_sending_first(scene):
    """The end of the stream tells what became of the worker, and comes behind: until then its clients are nobody else's."""
    play = scene(workers=3, protocol="limpet", on_down="hold", hold="60s", stuck_timeout="10m")
    source = play.source("1")
    worker = play.worker("1")
    worker.shut_down_reading()
    asked = [play.ask(source) for _ in range(5)]
    play.wait_slot("1", waiting=5)
    worker.signal(signal.SIGKILL)
    for one in asked:
        assert one.answer()["slot"] == "1"
    play.account()


def test_next(play):
    play = play(on_down="next")
    source = play.source("0")
    allow = take_down(play, "0")
    assert play.get(source)["slot"] == "1"
    assert play.counter("held") == 0
    allow()
    play.account()


def test_reject(play):
    play = play(on_down="reject")
    source, other = play.source("0"), play.source("1")
    allow = take_down(play, "0")
    rejected = play.ask(source)
    assert rejected.status() == 503
    assert play.get(other)["slot"] == "1"
    allow()
    play.worker("0")
    assert play.get(source)["slot"] == "0"
    play.account(unserved=[rejected.number])


def test_a_client_that_leaves_while_it_is_held_costs_nothing(play):
    play = play(on_down="hold", hold="30s")
    source = play.source("0")
    before = play.files()
    allow = take_down(play, "0")
    leaving = play.ask(source)
    staying = play.ask(source)
    play.wait_slot("0", waiting=2)
    leaving.connection.close()
    play.asked.remove(leaving.number)
    allow()
    assert staying.answer()["slot"] == "0"
    play.get(source)
    play.wait_files(before)
