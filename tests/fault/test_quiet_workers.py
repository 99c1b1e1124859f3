"""While the front is busy, workers note in memory what they take, and say nothing: whoever dies then, or is replaced."""
import os
import signal

import pytest

from harness import paths
from harness.processes import notes
from harness.wait import wait_until


def pids(play):
    return [slot["pid"] for slot in play.pool()["slots"] if slot["state"] == "ready"]


def wait_quiet(play, load):
    """All the workers are, and go on to serve."""
    wait_until(lambda: len(ready := pids(play)) == 2 and all(map(notes, ready)), "busy, and all workers quiet", 30)
    served = load.served
    wait_until(lambda: load.served > served + 100, f"load goes on; log:\n{play.front.text()}", 20)


def kill_worker(play):
    pid = pids(play)[0]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(ready := pids(play)) == 2 and pid not in ready, "another worker", 20)


def kill_router(play):
    play.kill_router()


def reload(play):
    router = play.router()
    play.front.send_signal(signal.SIGHUP)
    wait_until(lambda: play.router() != router, "another router")


def restart(play):
    before = pids(play)
    play.control("restart")
    wait_until(lambda: len(ready := pids(play)) == 2 and not set(ready) & set(before), "other workers", 30)


@pytest.mark.parametrize("event, lost", [(kill_worker, 64), (kill_router, 2), (reload, 0), (restart, 0)])
def test_nothing_is_served_twice(scene, event, lost):
    play = scene(command=paths.JOURNAL, connections="accept", workers=2, hold="20s", surge=2, stuck_timeout="1m")
    before = play.files()
    times = 4
    with play.load(concurrency=64, seconds=40) as load:
        for _ in range(times):
            wait_quiet(play, load)
            event(play)
        wait_quiet(play, load)
    wait_until(lambda: not any(slot["unacknowledged"] for slot in play.pool()["slots"]), "nothing is under way any more")
    failed = play.account(load, lost=times * lost)
    assert set(failed.values()) <= {"reset"}, failed
    if event is not kill_router:  # the next one is told of what it does not know
        assert play.counter("worker_messages_skipped") == 0
    play.wait_files(before)
