"""Whatever can happen to limpet and its workers, in an order that chance made."""
import contextlib
import os
import random
import signal

import pytest

from harness.wait import wait_until


def kill(pid):
    assert pid > 0, "0 would be this test's own process group"
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def kill_router(play, chance):
    kill(play.router())
    return 8


def kill_worker(play, chance):
    pids = [slot["pid"] for slot in play.pool()["slots"] if slot["pid"]]
    if pids:
        kill(chance.choice(pids))
    return 8


def reload(play, chance):
    play.front.send_signal(signal.SIGHUP)
    return 0


def upgrade(play, chance):
    play.front.send_signal(signal.SIGUSR2)
    return 0


def restart(play, chance):
    play.control("restart")
    return 0


def pause_worker(play, chance):
    pids = [slot["pid"] for slot in play.pool()["slots"] if slot["pid"]]
    for number in (signal.SIGSTOP, signal.SIGCONT):
        with contextlib.suppress(ProcessLookupError, IndexError):
            os.kill(pids[0], number)
    return 0


EVENTS = [kill_router, kill_worker, reload, upgrade, restart, pause_worker]


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_served_twice(scene, seed):
    """Two events at a time, with a little load between. What may be lost: what a killed process had at that moment."""
    chance = random.Random(seed)
    play = scene(workers=3, window=16, stuck_timeout="500ms", hold="20s", max_retired=200,
                 sticky=[{"cookie": "sid"}] if seed % 2 else "ip")
    before = play.files()
    lost = 0
    with play.load(concurrency=8, seconds=30) as load:
        for _ in range(25):
            events = [chance.choice(EVENTS) for _ in range(2)]
            served = load.served
            lost += sum(event(play, chance) for event in events)
            wait_until(lambda: load.served > served + 10,
                       f"load goes on after {[event.__name__ for event in events]}; log:\n{play.front.text()}", 20)
    failed = play.account(load, lost=lost)
    assert set(failed.values()) <= {"reset"}, failed
    wait_until(lambda: play.pool()["outdated"] == 0 and all(slot["state"] == "ready" for slot in play.pool()["slots"])
               and play.pool()["retired"] == 0, "all workers there", 20)
    play.wait_files(before)
