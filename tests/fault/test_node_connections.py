"""An ordinary Node.js server, whichever way it gets its connections: through accept(), or in messages."""
import contextlib
import os
import resource
import signal

import pytest

from harness import paths
from harness.wait import wait_until


@pytest.fixture(params=["accept", "message"])
def nodes(scene, request):
    """nodes(workers=2, ...): a scene with Node.js servers."""
    def start(**options):
        play = scene(command=paths.JOURNAL, **{"connections": request.param, "hold": "20s", **options})
        assert [slot["connections"] for slot in play.pool()["slots"]] == [request.param] * len(play.pool()["slots"])
        return play
    return start


def wait_served(play, load, count=20):
    served = load.served
    wait_until(lambda: load.served > served + count, f"load goes on; log:\n{play.front.text()}", 20)


def open_files(pid):
    return {int(number) for number in os.listdir(f"/proc/{pid}/fd")}


def wait_all_ready(play):
    wait_until(lambda: play.pool()["outdated"] == play.pool()["retired"] == 0
               and all(slot["state"] == "ready" for slot in play.pool()["slots"]), "all workers there", 30)


def test_router_killed_under_load(nodes):
    play = nodes(workers=2)
    before = play.files()
    kills = 10
    with play.load(concurrency=8, pinned=10) as load:
        wait_until(lambda: load.open == 10, "pinned connections")
        for _ in range(kills):
            play.kill_router()
            wait_served(play, load)
        assert load.open == 10
    failed = play.account(load, lost=kills)
    assert set(failed.values()) <= {"reset"}, failed
    assert play.counter("workers_exited") == 0
    play.wait_files(before)


@pytest.mark.parametrize("event", ["reload", "upgrade", "restart"])
def test_nothing_is_lost_under_load(nodes, event):
    play = nodes(workers=2, surge=2)
    before = play.files()
    with play.load(concurrency=8, seconds=30) as load:
        for _ in range(3):
            wait_served(play, load)
            if event == "restart":
                play.control("restart")
                wait_served(play, load)
                wait_all_ready(play)
            else:
                router = play.router()
                play.front.send_signal(signal.SIGHUP if event == "reload" else signal.SIGUSR2)
                wait_until(lambda: play.router() != router, "another router")
        wait_served(play, load)
    play.account(load, lost=0)
    wait_all_ready(play)
    play.wait_files(before)


def test_workers_killed_under_load(nodes):
    """What is lost had been acknowledged."""
    play = nodes(workers=2)
    before = play.files()
    kills = 6
    with play.load(concurrency=8, seconds=30) as load:
        for number in range(kills):
            wait_served(play, load)
            victim = play.worker(str(number % 2))
            victim.signal(signal.SIGKILL)
            play.front.wait_replaced(victim.slot, victim.pid)
    failed = play.account(load, lost=8 * kills)
    assert set(failed.values()) <= {"reset"}, failed
    play.wait_files(before)


def test_what_a_killed_worker_had_not_taken_goes_to_another(nodes):
    play = nodes(workers=2, on_down="next")
    before = play.files()
    other = play.worker("1")
    home, _, asked = play.ask_stopped("0", 20)
    home.signal(signal.SIGKILL)
    for one in asked:
        assert one.answer()["pid"] == other.pid
    play.account()
    play.front.wait_replaced("0", home.pid)
    play.wait_files(before)


def test_what_lies_in_a_stopped_worker_outlives_the_router(nodes):
    """Nobody else has those sockets: the worker serves them when it goes on."""
    play = nodes(workers=2)
    home, source, asked = play.ask_stopped("0", 8)
    play.kill_router()
    home.signal(signal.SIGCONT)
    for one in asked:
        assert one.answer()["pid"] == home.pid
    assert play.get(source)["pid"] == home.pid
    play.account()


def test_a_full_window_and_a_stuck_worker(nodes):
    play = nodes(workers=2, window=4, queue=1000, stuck_timeout="500ms")
    home = play.worker("0")
    source = play.source("0")
    home.signal(signal.SIGSTOP)
    asked = [play.ask(source) for _ in range(10)]
    play.front.wait_for(r"worker 0 acknowledged nothing for .* \(4 hand-offs\)")
    assert play.get(source)["slot"] == "1"
    home.signal(signal.SIGCONT)
    play.front.wait_for("worker 0 answers again")
    wait_until(lambda: play.get(source)["slot"] == "0", "its clients come back")
    assert {one.answer()["pid"] for one in asked} >= {home.pid}
    play.account()


def test_a_worker_without_a_free_file_loses_nobody(nodes):
    """It cannot take them, and refuses; afterwards it takes them again."""
    play = nodes(workers=2, on_down="next")
    home = play.worker("0")
    idle = open_files(home.pid)
    source = play.source("0")
    wait_until(lambda: len(open_files(home.pid)) <= len(idle), "no client there")
    limits = resource.prlimit(home.pid, resource.RLIMIT_NOFILE)
    lowest_free = min(set(range(4096)) - open_files(home.pid))
    resource.prlimit(home.pid, resource.RLIMIT_NOFILE, (lowest_free, limits[1]))
    asked = [play.ask(source) for _ in range(20)]
    for one in asked:
        assert one.answer()["slot"] == "1"
    resource.prlimit(home.pid, resource.RLIMIT_NOFILE, limits)
    assert play.get(source)["pid"] == home.pid
    play.account()


def test_a_worker_that_ends_by_itself_under_load(nodes):
    """SIGTERM ends Node.js at once: what it had taken is lost, nothing else."""
    play = nodes(workers=2)
    with play.load(concurrency=4, seconds=30) as load:
        for number in range(4):
            wait_served(play, load)
            victim = play.worker(str(number % 2))
            with contextlib.suppress(ProcessLookupError):
                victim.signal(signal.SIGTERM)
            play.front.wait_replaced(victim.slot, victim.pid)
    play.account(load, lost=16)
