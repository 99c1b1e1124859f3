"""SIGUSR2: the binary takes over in place, again and again."""
import contextlib
import os
import signal
import socket

import pytest

from harness.http import get
from harness.limpet import parse_address
from harness.scene import Told
from harness.wait import wait_until


def wait_upgraded(play, old):
    """Until the new binary's router alone is there."""
    wait_until(lambda: old not in play.front.pids("limpet-router") and play.router() != old,
               f"the new binary's router; log:\n{play.front.text()}", 30)


def upgrade(play):
    old = play.router()
    play.front.send_signal(signal.SIGUSR2)
    wait_upgraded(play, old)


def test_fifty_times_under_load(scene, sanitized):
    """No connection fails, none is refused; workers and pinned connections notice nothing, and the pid stays."""
    play = scene(workers=3)
    before = play.files()
    pids = [slot["pid"] for slot in play.pool()["slots"]]
    times = 20 if sanitized else 50
    with play.load(concurrency=8, pinned=30) as load:
        wait_until(lambda: load.open == 30, "pinned connections")
        for _ in range(times):
            upgrade(play)
        served = load.served
        wait_until(lambda: load.served > served + 20, "load goes on")
        assert load.open == 30
    play.account(load)
    assert [slot["pid"] for slot in play.pool()["slots"]] == pids
    assert play.status()["pid"] == play.front.process.pid
    assert play.front.text().count(" takes over") == times
    assert play.counter("workers_exited") == 0
    play.wait_files(before)


def test_everything_under_way_goes_to_the_new_binary(scene):
    play = scene(workers=2, window=3, sticky=[{"cookie": "sid"}], stuck_timeout="30s")
    home = play.worker("0")
    source = play.source("0")
    home.acknowledge(how="never")
    sent = [play.ask(source) for _ in range(3)]
    wait_until(lambda: home.report()["kept"] == 3, "hand-offs")
    queued = [play.ask(source) for _ in range(5)]
    play.wait_slot("0", unacknowledged=3, waiting=5)
    halves = [play.half(source) for _ in range(5)]
    upgrade(play)
    play.wait_slot("0", unacknowledged=3, waiting=5)
    home.acknowledge(how="at once")
    for half in halves:
        half.finish()
    for one in [*sent, *queued, *halves]:
        assert one.answer()["pid"] == home.pid
    play.account()


def test_while_another_router_is_starting(scene):
    """It has a copy of whatever limpet had open, for a moment."""
    play = scene(workers=2)
    for _ in range(20):
        begin = play.front.mark_log()
        play.front.send_signal(signal.SIGUSR2)
        with contextlib.suppress(ProcessLookupError):
            os.kill(play.router(), signal.SIGKILL)
        play.front.wait_for("upgrade: .* takes over", after=begin)
        play.status()  # answered by the new binary: it takes signals
        play.get()
    play.account()


def test_the_control_socket_is_always_there(scene):
    play = scene(workers=1)
    for _ in range(10):
        begin, count = play.front.mark_log(), play.counter("routers_started")
        play.front.send_signal(signal.SIGUSR2)
        # Each question is answered, or its connection ended with the binary that had accepted it: nobody is refused.
        for _ in range(1000):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(play.front.control))
            if play.counter("routers_started") > count:
                break
        play.front.wait_for("takes over", after=begin)
    play.account()


def test_a_worker_that_dies_meanwhile_is_replaced(scene):
    """Between the old binary's last look and the new one's first."""
    play = scene(workers=2, on_down="next")
    for turn in range(6):
        home, old = play.worker(str(turn % 2)), play.router()
        play.front.send_signal(signal.SIGUSR2)
        home.signal(signal.SIGKILL)
        wait_upgraded(play, old)
        play.front.wait_replaced(home.slot, home.pid)
        play.get()
    play.account()


def wait_told(play, others):
    """The pid of a worker besides these, when it can be told what to do."""
    def find():
        return [pid for pid in play.front.pids("python3")
                if pid not in others and (play.directory / f"{pid}.sock").exists()]
    return wait_until(find, "another worker")[0]


def test_a_rolling_restart_goes_on(scene):
    """Its first worker is starting, all others have still to be replaced."""
    play = scene(workers=3, start_timeout="60s")
    old = [slot["pid"] for slot in play.pool()["slots"]]
    play.environment["FAULT_START"] = '{"ready": false}'
    play.front.write_config(play.config)
    play.control("reload")
    starting = wait_told(play, old)
    upgrade(play)
    assert play.pool()["outdated"] == 3
    Told(play.directory, "0", starting).ready()
    wait_until(lambda: play.slot("0")["pid"] == starting, "it takes over")
    following = wait_told(play, [*old, starting])
    Told(play.directory, "1", following).ready()
    wait_until(lambda: play.slot("1")["pid"] == following, "it takes over")
    play.account()


def test_reloads_meanwhile_do_not_cancel_it(scene):
    """Whatever it meets with, a succession or the last moment before it takes over, it is put off and not forgotten."""
    play = scene(workers=2)
    with play.load(concurrency=4, pinned=5) as load:
        wait_until(lambda: load.open == 5, "pinned connections")
        for number in range(5):
            play.front.send_signal(signal.SIGUSR2)
            # In the pauses a succession comes to its end.
            while play.front.text().count(" takes over") == number:
                for _ in range(20):
                    play.front.send_signal(signal.SIGHUP)
                wait_until(lambda: len(play.front.pids("limpet-router")) == 1, "one router")
        wait_until(lambda: len(play.front.pids("limpet-router")) == 1, "one router")
        served = load.served
        wait_until(lambda: load.served > served + 20, "load goes on")
        assert load.open == 5
    play.account(load)
    assert "nothing was changed" not in play.front.text()


def fill_link(front, log):
    """Stops the router and tells it more than the kernel keeps for it; returns its pid."""
    router = front.router()
    os.kill(router, signal.SIGSTOP)
    for _ in range(700):
        log.unlink()
        front.send_signal(signal.SIGUSR1)
        wait_until(log.exists, "the log opened again")
    return router


@pytest.mark.parametrize("listens_again", [True, False])
def test_what_the_router_has_not_read_yet_is_not_lost(limpet, app, tmp_path, listens_again):
    """The old binary alone knows it: it waits for the router, or ends it."""
    log = tmp_path / "log"
    front = limpet(config={"log": {"file": str(log)}, "listeners": {"web": {"address": "127.0.0.1:0"}},
                           "pools": {"app": {"command": app("http-ws.js"), "workers": 1}}})
    wait_until(lambda: front.control.exists() and front.status()["pools"]["app"]["slots"][0]["state"] == "ready", "ready", 30)
    address = parse_address(front.status()["listeners"][0]["address"])
    router = fill_link(front, log)
    front.send_signal(signal.SIGUSR2)
    wait_until(lambda: "upgrade: waits until the router has read" in log.read_text(), "it waits")
    assert "takes over" not in log.read_text()
    if listens_again:
        os.kill(router, signal.SIGCONT)
    wait_until(lambda: " takes over" in log.read_text(), "the upgrade", 20)
    assert ("does not read its messages: it is killed" in log.read_text()) != listens_again
    wait_until(lambda: front.pids("limpet-router") not in ([], [router]), "another router", 20)
    assert get(address).status == 200
