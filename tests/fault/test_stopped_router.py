"""SIGSTOP and SIGCONT: a router that was not running for longer than stuck_timeout takes no worker for stuck that has worked
meanwhile."""
import os
import signal
import time

import pytest

from harness import paths
from harness.processes import children_of, notes
from harness.wait import wait_until


def quiet(play):
    """Does some process of each worker note what it takes?"""
    return all(any(map(notes, [slot["pid"], *children_of(slot["pid"])])) for slot in play.pool()["slots"])


@pytest.mark.parametrize("options", [
    {"command": paths.PREFORK, "protocol": "accept"}, {"command": paths.JOURNAL, "connections": "accept"},
    {"command": paths.JOURNAL, "connections": "message"}, {},
], ids=["accept", "node-cluster", "messages", "limpet"])
def test_nobody_is_stuck(scene, options):
    play = scene(workers=2, stuck_timeout="200ms", **options)
    can_be_quiet = "command" in options and options.get("connections") != "message"
    router = play.router()
    with play.load(concurrency=64, seconds=20) as load:
        for _ in range(4):
            served = load.served
            wait_until(lambda: load.served > served + 500 and (not can_be_quiet or quiet(play)), "busy, and all workers quiet", 30)
            end = time.monotonic() + 0.5
            os.kill(router, signal.SIGSTOP)
            try:
                wait_until(lambda: time.monotonic() > end, "stuck_timeout is over")
            finally:
                os.kill(router, signal.SIGCONT)
        before = [slot["handed_off"] for slot in play.pool()["slots"]]
        wait_until(lambda: all(slot["handed_off"] > count + 100 for slot, count in zip(play.pool()["slots"], before)),
                   f"both serve; log:\n{play.front.text()}", 10)
    assert play.counter("workers_stuck") == 0
    play.account(load)
