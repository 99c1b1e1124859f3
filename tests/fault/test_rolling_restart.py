"""A rolling restart replaces every worker by one of a new generation."""
import json
import signal

import pytest

from harness import paths
from harness.scene import Told
from harness.wait import wait_until


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
    command = paths.JOURNAL if protocol == "node-cluster" else None
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
    assert play.counter("worker_channels_failed") == 0
    # Nobody holds on to the old generation any more.
    wait_until(lambda: play.pool()["retired"] == 0, "retired workers end")


def test_a_new_generation_that_closes_its_channel_ends_the_roll(scene):
    """It lives on, so that it has to be ended, and is not started again and again."""
    play = scene(workers=2, start_timeout="60s")
    pids = [slot["pid"] for slot in play.pool()["slots"]]
    starting = begin_a_roll_that_hangs(play)
    wait_until((play.directory / f"{starting}.sock").exists, "it can be told")
    Told(play.directory, "0", starting).close_channel()
    play.front.wait_for("the rolling restart is over")
    wait_until(lambda: sorted(play.front.pids("python3")) == sorted(pids), "only the old generation is left")
    assert play.pool()["outdated"] == 0
    play.get()
    play.account()


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


def test_status_says_how_far_it_is(scene):
    play = scene(workers=3, start_timeout="60s")
    begin_a_roll_that_hangs(play)
    assert "pool app: 3 of 3 workers are still to be replaced" in play.front.ctl("status")


def begin_a_roll_that_hangs(play):
    """The first slot's new worker starts, and is never ready. Returns its pid."""
    before = set(play.front.pids("python3"))
    play.environment["FAULT_START"] = '{"ready": false}'
    play.front.write_config(play.config)
    play.control("reload")
    return wait_until(lambda: set(play.front.pids("python3")) - before, "the new worker").pop()


def environment_of(pid):
    with open(f"/proc/{pid}/environ", "rb") as file:
        return file.read().split(b"\0")


def test_a_reload_during_a_roll_replaces_what_is_starting(scene):
    """It has the environment of a configuration that is none any more: it neither takes over nor ends the new roll."""
    play = scene(workers=3, start_timeout="60s")
    starting = begin_a_roll_that_hangs(play)
    play.environment.update(FAULT_START="{}", NEWEST="yes")
    play.front.write_config(play.config)
    play.control("reload")
    wait_generation(play, 2)
    slots = play.pool()["slots"]
    assert starting not in [slot["pid"] for slot in slots]
    assert all(b"NEWEST=yes" in environment_of(slot["pid"]) for slot in slots)
    wait_until(lambda: len(play.front.pids("python3")) == 3, "nobody else is left")
    assert "the rolling restart is over" not in play.front.text()
    play.get()
    play.account()


def test_a_second_restart_replaces_what_the_first_has_started(scene):
    play = scene(workers=2, start_timeout="60s")
    first = begin_a_roll_that_hangs(play)
    restart(play)
    second = wait_until(lambda: set(play.front.pids("python3")) - {first} - {slot["pid"] for slot in play.pool()["slots"]},
                        "another new worker").pop()
    wait_until(lambda: first not in play.front.pids("python3"), "the first one's end")
    assert second in play.front.pids("python3")
    assert "the rolling restart is over" not in play.front.text()
    play.get()
    play.account()


def test_a_slot_whose_next_worker_is_starting_gets_no_third(scene):
    play = scene(workers=1, start_timeout="60s")
    starting = begin_a_roll_that_hangs(play)
    play.worker("0").signal(signal.SIGKILL)
    wait_until(lambda: play.front.pids("python3") == [starting], "the old worker's end")
    play.control("reload")
    assert play.front.pids("python3") == [starting]


def test_a_restart_of_a_slot_that_has_only_a_starting_worker(scene):
    play = scene(workers=1, start_timeout="60s")
    starting = begin_a_roll_that_hangs(play)
    play.worker("0").signal(signal.SIGKILL)
    wait_until(lambda: play.front.pids("python3") == [starting], "the old worker's end")
    restart(play)
    wait_until(lambda: starting not in play.front.pids("python3") and len(play.front.pids("python3")) == 1, "another")


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
    assert "pool app: 3 retired workers finish their connections" in play.front.ctl("status")
    for connection in pinned[:3]:
        assert connection.ended()
        connection.close()
    for connection in pinned[3:]:
        connection.send(b"still here\n")
        assert connection.read_until(b"\n") == b"still here"
        connection.close()
    wait_until(lambda: play.pool()["retired"] == 0, "nobody retired")
    play.account()
