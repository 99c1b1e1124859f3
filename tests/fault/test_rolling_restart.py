"""A rolling restart replaces every worker by one of a new generation."""
import json

import pytest

from harness import paths
from harness.wait import wait_until

JOURNAL = ["node", str(paths.TESTS / "workers" / "journal.js")]


def restart(play):
    assert "done" in play.control("restart")


def generations(play):
    return [slot["generation"] for slot in play.pool()["slots"]]


def wait_generation(play, generation):
    wait_until(lambda: play.pool()["outdated"] == 0 and min(generations(play)) >= generation
               and all(slot["state"] == "ready" for slot in play.pool()["slots"]),
               f"generation {generation}", 60)


@pytest.mark.parametrize("protocol, times", [("limpet", 20), ("node-cluster", 5)])
def test_again_and_again_under_load(scene, protocol, times):
    """No connection fails; those that the old generation has live on with it."""
    command = JOURNAL if protocol == "node-cluster" else None
    play = scene(workers=2, drain_timeout="1m", max_retired=200, command=command)
    with play.load(concurrency=6, pinned=10) as load:
        wait_until(lambda: load.open == 10, "pinned connections")
        first = {served.pid for served in play.journal()}
        for number in range(times):
            restart(play)
            wait_generation(play, number + 2)
            echoes = load.echoes
            wait_until(lambda: load.echoes > echoes + 20, "pinned connections live on")
        assert load.open == 10
        # Those who hold pinned connections live on, everybody in between has ended.
        wait_until(lambda: play.pool()["retired"] <= 2, "retired workers")
        assert len(first) == 2
    play.account(load)
    assert generations(play) == [times + 1] * 2
    # Nobody holds on to the old generation any more.
    wait_until(lambda: play.pool()["retired"] == 0, "retired workers end")


@pytest.mark.parametrize("how", ["ends", "is never ready"])
def test_a_new_generation_that_does_not_become_ready_changes_nothing(scene, how):
    play = scene(workers=3, start_timeout="700ms")
    source = play.source("1")
    pids = [slot["pid"] for slot in play.pool()["slots"]]
    pinned = play.ask(source, path="/pin/{}").connection
    assert pinned.response().json()["slot"] == "1"

    bad = {"fails": True} if how == "ends" else {"ready": False}
    play.environment["FAULT_START"] = json.dumps(bad)
    play.front.write_config(play.config)
    with play.load(concurrency=4) as load:
        play.control("reload")
        play.front.wait_for("the rolling restart is over")
        wait_until(lambda: len(play.front.pids("python3")) == 3, "only the old generation is left")
        assert [slot["pid"] for slot in play.pool()["slots"]] == pids
        assert play.pool()["outdated"] == 0
        served = load.served
        wait_until(lambda: load.served > served + 20, "load goes on")
    pinned.send(b"still here\n")
    assert pinned.read_until(b"\n") == b"still here"
    pinned.close()

    # A mended one is taken.
    play.environment["FAULT_START"] = "{}"
    play.front.write_config(play.config)
    play.control("reload")
    wait_generation(play, 2)
    assert not set(pids) & {slot["pid"] for slot in play.pool()["slots"]}
    play.account(load)


def test_retired_workers_are_bounded(scene):
    """Each generation keeps a pinned connection; past max_retired the oldest is ended."""
    play = scene(workers=1, drain_timeout="1m", max_retired=3)
    pinned = []
    for number in range(6):
        connection = play.ask(path="/pin/{}").connection
        assert connection.response().json()["generation"] == number + 1
        pinned.append(connection)
        restart(play)
        wait_generation(play, number + 2)
    wait_until(lambda: play.pool()["retired"] == 3, "three retired")
    for connection in pinned[:3]:
        assert connection.ended()
        connection.close()
    for connection in pinned[3:]:
        connection.send(b"still here\n")
        assert connection.read_until(b"\n") == b"still here"
        connection.close()
    wait_until(lambda: play.pool()["retired"] == 0, "nobody retired")
    play.account()
