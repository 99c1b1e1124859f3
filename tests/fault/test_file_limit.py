"""Room for 32 files: a front that is full waits for room, without spinning, and says so."""
import pathlib
import time

from harness.http import Connection
from harness.wait import wait_until


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_accept_is_paused_and_goes_on(scene):
    play = scene(workers=2, sticky=[{"cookie": "sid"}], listener={"head_timeout": "60s"})
    before = play.files()
    router = play.limit_router_files(32)

    idle = [Connection(play.address, f"127.0.3.{number}") for number in range(1, 60)]
    play.front.wait_for("accepting is paused")
    wait_until(lambda: play.front.open_files(router) >= 22, "all files that clients may have in use")
    asked = [play.ask() for _ in range(20)]

    # It does not spin.
    used, wakeups, begin = cpu_seconds(router), play.counter("wakeups"), time.monotonic()
    play.wait_counter("accept_paused", play.counter("accept_paused") + 3)
    elapsed = time.monotonic() - begin
    assert play.counter("wakeups") - wakeups < 100 * (elapsed + 1)
    assert cpu_seconds(router) - used < 0.5 * elapsed + 0.05

    for connection in idle:
        connection.close()
    for one in asked:
        one.answer()
    play.front.wait_for("accept.*again")
    play.account()
    play.wait_files(before)


def test_under_load(scene):
    """More clients than files: they wait in the backlog, and all are served."""
    play = scene(workers=2)
    before = play.files()
    play.limit_router_files(32)
    with play.load(concurrency=60, pinned=60, seconds=20) as load:
        wait_until(lambda: load.open == 60, "pinned connections")
        wait_until(lambda: load.served > 1000, "load is served", 60)
    play.account(load)
    play.wait_files(before)


def test_a_worker_that_stops_uses_the_last_file_up(scene):
    """Its hand-offs are bounded by window and queue; but where they are more than all files, others wait until it is stuck, or
    answers. Nothing is lost."""
    play = scene(workers=2, window=16, queue=64, stuck_timeout="60s")
    home = play.worker("0")
    source = play.source("0")
    before = play.files()
    router = play.limit_router_files(32)
    home.acknowledge(how="never")
    asked = [play.ask(source) for _ in range(40)]
    wait_until(lambda: play.front.open_files(router) >= 22, "all files that clients may have in use")
    home.acknowledge(how="at once")
    for one in asked:
        one.answer()
    play.account()
    play.wait_files(before)
