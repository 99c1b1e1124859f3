"""A worker dies around the moment of acknowledgement."""
import os
import signal

import pytest

from harness.wait import wait_until


def test_before_it_acknowledged(scene):
    """It never read a byte: its clients are served by the next choice, whole."""
    play = scene(workers=2, on_down="next")
    home, other = play.worker("0"), play.worker("1")
    source = play.source("0")
    before = play.files()

    home.acknowledge(how="never")
    asked = [play.ask(source) for _ in range(20)]
    wait_until(lambda: home.report()["kept"] == 20, "all hand-offs there")
    home.signal(signal.SIGKILL)

    for one in asked:
        assert one.answer()["pid"] == other.pid
    assert play.counter("redispatched") == 20
    assert play.front.wait_replaced("0", home.pid)
    assert play.get(source)["slot"] == "0"
    play.account()
    play.wait_files(before)


def test_before_it_read_them_from_its_channel(scene):
    """Stopped, so that the sockets are still in the channel's buffer when it dies."""
    play = scene(workers=2, on_down="next")
    before = play.files()
    other = play.worker("1")
    home, _, asked = play.ask_stopped("0", 20)
    home.signal(signal.SIGKILL)

    for one in asked:
        assert one.answer()["pid"] == other.pid
    play.account()
    play.wait_files(before)


def test_after_it_acknowledged(scene):
    """The connection was the worker's: it is lost with it, and nobody else may serve it."""
    play = scene(workers=2, on_down="next")
    home = play.worker("0")
    source = play.source("0")
    before = play.files()

    home.die(when="after")
    asked = play.ask(source)
    with asked.connection as connection:
        assert connection.ended()

    assert play.front.wait_replaced("0", home.pid)
    assert play.counter("redispatched") == 0
    play.account(unserved=[asked.number])
    play.wait_files(before)


def test_with_acknowledgements_that_nobody_has_read_yet(scene):
    """The router sees the death and the last words at once: what was acknowledged stays the dead worker's, the rest moves."""
    play = scene(workers=2, on_down="next")
    home, other = play.worker("0"), play.worker("1")
    source = play.source("0")
    before = play.files()

    home.die(when="before", after=11)
    home.signal(signal.SIGSTOP)
    asked = [play.ask(source) for _ in range(20)]
    play.wait_slot("0", unacknowledged=20)
    router = play.router()
    os.kill(router, signal.SIGSTOP)
    home.signal(signal.SIGCONT)
    play.front.wait_for(r"worker 0 \(pid \d+\) was killed")
    os.kill(router, signal.SIGCONT)

    gone, moved = [], []
    for one in asked:
        with one.connection as connection:
            try:
                answer = connection.response().json()
                (moved if answer["pid"] == other.pid else gone).append(one.number)
            except OSError:
                gone.append(one.number)
    assert (len(gone), len(moved)) == (10, 10), (gone, moved)
    assert play.counter("redispatched") == 10
    play.account(perhaps=gone)
    play.wait_files(before)


@pytest.mark.parametrize("on_down", ["hold", "next"])
def test_again_and_again_under_load(scene, on_down):
    """What is lost had been acknowledged: at most what one worker was serving when it was killed."""
    play = scene(workers=4, on_down=on_down, hold="5s")
    before = play.files()
    kills = 12
    with play.load(concurrency=8) as load:
        for number in range(kills):
            served = load.served
            wait_until(lambda: load.served > served + 20, "load goes on")
            victim = play.worker(str(number % 4))
            victim.signal(signal.SIGKILL)
            play.front.wait_replaced(victim.slot, victim.pid)
    failed = play.account(load, lost=8 * kills)
    assert set(failed.values()) <= {"reset"}, failed
    play.wait_files(before)


def test_refusing_workers(scene):
    """Each takes one choice; with nobody left the client gets an answer."""
    play = scene(workers=3)
    source = play.source("0")
    before = play.files()
    play.worker("0").acknowledge(how="refuse")
    first = play.get(source)["slot"]
    assert first != "0"
    play.worker(first).acknowledge(how="refuse")
    assert play.get(source)["slot"] not in ("0", first)
    for slot in "012":
        play.worker(slot).acknowledge(how="refuse")
    nobody = play.ask(source)
    assert nobody.status() == 503
    play.account(unserved=[nobody.number])
    play.wait_files(before)


def test_a_worker_without_room_for_one_more_file_refuses(scene):
    play = scene(workers=2)
    home = play.worker("0")
    source = play.source("0")
    before = play.files()
    home.fill_files()
    assert play.get(source)["slot"] == "1"
    assert home.report()["fds_lost"] == 1
    home.free_files()
    assert play.get(source)["slot"] == "0"
    play.account()
    play.wait_files(before)
