"""What a worker sends is as little to be trusted as what a client sends."""
import time

import pytest

BAD = ["pongs", "unknown", "garbage", "invalid UTF-8", "nested", "empty object", "fds", "1 MB"]


@pytest.mark.parametrize("what", BAD)
def test_messages_that_are_skipped(scene, what):
    """They cost nothing but their counter: the worker goes on."""
    play = scene(workers=2)
    home = play.worker("0")
    source = play.source("0")
    before = play.files()
    kept = []
    if what != "fds":
        skipped = play.counter("worker_messages_skipped")
        home.send(what=what, count=50)
        play.wait_counter("worker_messages_skipped", skipped + 50)
    else:
        home.acknowledge(how="never")
        kept = [play.ask(source) for _ in range(5)]
        play.wait_slot("0", unacknowledged=5)
        home.send(what=what, count=50)
        home.acknowledge(how="at once")
    for one in kept:
        assert one.answer()["pid"] == home.pid
    for _ in range(20):
        assert play.get(source)["pid"] == home.pid
    assert play.counter("workers_exited") == play.counter("worker_channels_failed") == 0
    play.account()
    play.wait_files(before)


@pytest.mark.parametrize("what", BAD)
def test_a_flood_delays_nobody_else(scene, what):
    """It goes on while others are served, and the flooding worker's own clients, too."""
    play = scene(workers=2)
    home = play.worker("0")
    mine, others = play.source("0"), play.source("1")
    before = play.files()
    home.flood(what=what)
    slowest = 0.0
    for _ in range(30):
        begin = time.monotonic()
        assert play.get(others)["slot"] == "1"
        slowest = max(slowest, time.monotonic() - begin)
    assert slowest < 1.0
    for _ in range(5):
        assert play.get(mine)["slot"] == "0"
    home.calm()
    play.account()
    play.wait_files(before)
