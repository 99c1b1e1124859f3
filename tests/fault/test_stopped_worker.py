"""SIGSTOP and SIGCONT: a worker that does not run delays nobody but its own clients, and not those for long."""
import os
import signal
import time

import pytest

from harness import paths
from harness.wait import wait_until


def test_others_notice_nothing(scene):
    """Its window and its queue fill; the files that limpet holds for it are bounded by them."""
    play = scene(workers=4, window=16, queue=32, stuck_timeout="30s")
    home = play.worker("2")
    source = play.source("2")
    others = [play.source(slot) for slot in "013"]
    before = play.files()

    home.signal(signal.SIGSTOP)
    asked = [play.ask(source) for _ in range(48)]
    play.wait_slot("2", unacknowledged=16, waiting=32)
    refused = [play.ask(source) for _ in range(30)]
    assert {one.status() for one in refused} == {503}
    wait_until(lambda: play.front.open_files(play.router()) <= before[1] + 16 + 32, "files for window and queue only")

    begin = time.monotonic()
    for _ in range(50):
        for other in others:
            play.get(other)
    assert time.monotonic() - begin < 5

    home.signal(signal.SIGCONT)
    for one in asked:
        assert one.answer()["pid"] == home.pid
    play.account(unserved=[one.number for one in refused])
    play.wait_files(before)


def test_stuck_and_back(scene):
    play = scene(workers=2, window=4, stuck_timeout="500ms")
    home = play.worker("0")
    source = play.source("0")
    before = play.files()
    home.signal(signal.SIGSTOP)
    sent = [play.ask(source) for _ in range(4)]
    waiting = [play.ask(source) for _ in range(4)]
    for one in waiting:
        assert one.answer()["slot"] == "1"
    assert play.get(source)["slot"] == "1"
    home.signal(signal.SIGCONT)
    for one in sent:
        assert one.answer()["pid"] == home.pid
    play.front.wait_for("worker 0 answers again")
    assert play.get(source)["slot"] == "0"
    play.account()
    play.wait_files(before)


@pytest.mark.parametrize("protocol", ["limpet", "node-cluster"])
def test_stopped_and_continued_under_load(scene, protocol):
    """Again and again, shorter and longer than stuck_timeout."""
    command = paths.JOURNAL if protocol == "node-cluster" else None
    play = scene(workers=2, window=4, stuck_timeout="200ms", command=command)
    before = play.files()
    with play.load(concurrency=16, pinned=8, seconds=20) as load:
        wait_until(lambda: load.open == 8, "pinned connections")
        for turn in range(6):
            home = play.worker(str(turn % 2))
            home.signal(signal.SIGSTOP)
            stuck = play.counter("workers_stuck")
            play.wait_slot(home.slot, unacknowledged=4)
            if turn >= 3:
                play.wait_counter("workers_stuck", stuck + 1)
            home.signal(signal.SIGCONT)
            served = load.served
            wait_until(lambda: load.served > served + 20, "load goes on")
    play.account(load)
    play.wait_files(before)


def test_killed_while_stopped(scene):
    """Node.js: what lay in its channel is served by another."""
    play = scene(workers=2, window=8, on_down="next", command=paths.JOURNAL)
    home = play.worker("0")
    source = play.source("0")
    home.signal(signal.SIGSTOP)
    asked = [play.ask(source) for _ in range(12)]
    play.wait_slot("0", unacknowledged=8, waiting=4)
    os.kill(home.pid, signal.SIGKILL)
    for one in asked:
        assert one.answer()["slot"] == "1"
    play.account()


def test_stuck_and_ended(scene):
    """stuck_action restart: what it had not acknowledged when it ended goes to the next one in its slot, once."""
    play = scene(workers=2, window=4, stuck_timeout="500ms", stuck_action="restart", kill_timeout="500ms", hold="30s")
    home = play.worker("0")
    source = play.source("0")
    before = play.files()
    home.acknowledge(how="never")
    asked = [play.ask(source) for _ in range(4)]
    play.front.wait_for(rf"worker 0 \(pid {home.pid}\) is stuck: it is ended")
    play.front.wait_replaced("0", home.pid)
    successor = play.worker("0")
    for one in asked:
        assert one.answer()["pid"] == successor.pid
    play.account()
    play.wait_files(before)
