"""kill -9 of the supervisor: nothing is left behind, and another can start at once."""
import os
import signal

import pytest

from harness import paths
from harness.wait import wait_until


def kill(play):
    pids = play.front.pids()
    os.kill(play.front.process.pid, signal.SIGKILL)
    play.front.process.wait(10)
    return pids


@pytest.mark.parametrize("protocol", ["limpet", "node-cluster"])
def test_router_and_workers_end(scene, protocol):
    play = scene(workers=3, command=paths.JOURNAL if protocol == "node-cluster" else None)
    assert len(kill(play)) == 5
    wait_until(lambda: not play.front.pids(), "no process left")


def test_under_load_and_in_all_states(scene):
    """With a worker that is stopped, one that does not acknowledge, and a rolling restart under way."""
    play = scene(workers=4, window=2)
    with play.load(concurrency=8, pinned=10, seconds=3) as load:
        wait_until(lambda: load.open == 10, "pinned connections")
        stopped = play.worker("0")
        stopped.signal(signal.SIGSTOP)
        play.worker("1").acknowledge(how="never")
        play.control("restart")
        kill(play)
        # What is stopped cannot end.
        stopped.signal(signal.SIGCONT)
        wait_until(lambda: not play.front.pids(), "no process left")
        wait_until(lambda: load.broken, "pinned connections have ended with their workers")


def test_another_starts_on_the_same_address(scene, limpet):
    play = scene(workers=2)
    host, port = play.address
    play.get()
    kill(play)
    play.config["listeners"]["web"]["address"] = f"{host}:{port}"
    play.config["control"] = str(play.front.control)
    wait_until(lambda: not play.front.pids(), "no process left")
    play.front = limpet(config=play.config)
    play.front.wait_ready(2)
    play.get()
    play.account()
