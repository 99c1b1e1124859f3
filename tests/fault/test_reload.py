"""SIGHUP, again and again."""
import contextlib
import os
import resource
import signal
import subprocess

import pytest

from harness import paths
from harness.wait import wait_until


def reload(play):
    """Sends SIGHUP and waits until the new router alone is there."""
    begin, old = play.front.mark_log(), play.router()
    play.front.send_signal(signal.SIGHUP)
    play.front.wait_for(": reloaded", after=begin)
    wait_until(lambda: old not in play.front.pids("limpet-router"), "the old router's end")


@pytest.mark.parametrize("sticky", ["ip", "cookie"])
def test_a_hundred_times_under_load(scene, sticky):
    """No connection fails, none is refused, and pinned ones live on with the workers, who are not touched."""
    play = scene(workers=3, sticky=[{"cookie": "sid"}] if sticky == "cookie" else "ip")
    before = play.files()
    with play.load(concurrency=8, pinned=30, head=b"Cookie: sid=x\r\n") as load:
        wait_until(lambda: load.open == 30, "pinned connections")
        for number in range(100):
            play.config["listeners"]["web"]["head_timeout"] = f"{5 + number % 5}s"
            play.front.write_config(play.config)
            reload(play)
        served = load.served
        wait_until(lambda: load.served > served + 20, "load goes on")
        assert load.open == 30
    play.account(load)
    assert play.counter("workers_exited") == 0
    assert play.counter("routers_started") == 101
    play.wait_files(before)


def test_many_signals_at_once(scene):
    """They run into one another's successions; what comes during one is done after it."""
    play = scene(workers=2)
    before = play.files()
    with play.load(concurrency=8, pinned=10) as load:
        wait_until(lambda: load.open == 10, "pinned connections")
        for _ in range(100):
            play.front.send_signal(signal.SIGHUP)
        served = load.served
        wait_until(lambda: load.served > served + 100, "load goes on")
        wait_until(lambda: len(play.front.pids("limpet-router")) == 1, "one router")
    play.account(load)
    play.wait_files(before)


def test_everything_under_way_goes_to_the_new_router(scene):
    """Half a request head, a queue behind a full window, hand-offs not acknowledged, a client that is held."""
    play = scene(workers=2, window=3, sticky=[{"cookie": "sid"}], stuck_timeout="30s")
    home = play.worker("0")
    source = play.source("0")
    before = play.files()

    home.acknowledge(how="never")
    sent = [play.ask(source) for _ in range(3)]
    wait_until(lambda: home.report()["kept"] == 3, "hand-offs")
    queued = [play.ask(source) for _ in range(5)]
    play.wait_slot("0", unacknowledged=3, waiting=5)
    accepted = play.counter("accepted")
    halves = [play.half(source) for _ in range(5)]
    play.wait_counter("accepted", accepted + 5)

    for _ in range(3):
        reload(play)
        play.wait_slot("0", unacknowledged=3, waiting=5)
    home.acknowledge(how="at once")
    for half in halves:
        half.finish()
    for one in [*sent, *queued, *halves]:
        assert one.answer()["pid"] == home.pid
    assert play.counter("redispatched") == 0
    play.account()
    play.wait_files(before)


def test_a_bad_file_changes_nothing(scene):
    play = scene(workers=2)
    router = play.router()
    play.config["pools"]["app"]["windwo"] = 3
    play.front.write_config(play.config)
    play.front.send_signal(signal.SIGHUP)
    play.front.wait_for("windwo")
    play.front.wait_for("nothing was changed")
    assert play.router() == router
    play.get()
    play.account()


def test_who_asks_during_a_succession_learns_how_it_went(scene):
    """The reload is put off, and so is the answer."""
    play = scene(workers=1)
    for key, status, said in (("windwo", 2, "nothing was changed"), ("window", 0, "reloaded")):
        old, begin = play.router(), play.front.mark_log()
        os.kill(old, signal.SIGSTOP)
        play.front.send_signal(signal.SIGHUP)
        wait_until(lambda: play.router() != old, "a successor")
        play.config["pools"]["app"] = {**play.config["pools"]["app"], key: 3}
        play.front.write_config(play.config)
        with subprocess.Popen([paths.limpetctl(), "-S", play.front.control, "reload"], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True) as asking:
            play.front.wait_for("reload: follows when", after=begin)
            assert asking.poll() is None
            # Nor is the first one over, while the old router may accept by the former configuration.
            assert not any(": reloaded" in line for line in play.front.lines[begin:])
            os.kill(old, signal.SIGCONT)
            assert said in asking.communicate(timeout=20)[0]
            assert asking.returncode == status
        play.config["pools"]["app"].pop("windwo", None)
        play.front.write_config(play.config)
    play.get()
    play.account()


def test_a_router_that_cannot_be_started_is_started_later(scene):
    """Files suffice for the configuration, and not for the new router's link."""
    play = scene(workers=1)
    limpet, old = play.front.process.pid, play.router()
    play.config["pools"]["app"]["workers"] = 2
    play.front.write_config(play.config)
    taken = {int(name) for name in os.listdir(f"/proc/{limpet}/fd")}
    one_free = [number for number in range(len(taken) + 2) if number not in taken][1]
    limits = resource.prlimit(limpet, resource.RLIMIT_NOFILE)
    resource.prlimit(limpet, resource.RLIMIT_NOFILE, (one_free, limits[1]))
    play.front.send_signal(signal.SIGHUP)
    play.front.wait_for("the old router goes on")
    play.front.wait_for(": reloaded")
    assert play.front.pids("limpet-router") == [old]
    play.get()
    resource.prlimit(limpet, resource.RLIMIT_NOFILE, limits)
    wait_until(lambda: play.front.pids("limpet-router") not in ([], [old]), "another router")
    wait_until(lambda: len(play.front.pids("limpet-router")) == 1, "it alone")
    play.source("1")  # the second worker serves
    play.account()


def test_the_router_dies_during_a_succession(scene):
    """Whichever of the two it is, there is one router in the end, and pinned connections notice nothing."""
    play = scene(workers=2)
    before = play.files()
    with play.load(concurrency=4, pinned=10) as load:
        wait_until(lambda: load.open == 10, "pinned connections")
        for _ in range(20):
            play.front.send_signal(signal.SIGHUP)
            for pid in play.front.pids("limpet-router"):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            served = load.served
            wait_until(lambda: load.served > served + 4, "load goes on")
        wait_until(lambda: len(play.front.pids("limpet-router")) == 1, "one router")
    failed = play.account(load, lost=20 * 8)
    assert set(failed.values()) <= {"reset"}, failed
    play.wait_files(before)
