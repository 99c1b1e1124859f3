"""How the kernel lets the router and the workers run."""
import concurrent.futures
import os

import pytest


@pytest.mark.parametrize("chosen, expected", [(os.SCHED_OTHER, os.SCHED_BATCH), (os.SCHED_IDLE, os.SCHED_IDLE)])
def test_the_router_does_not_preempt_workers(limpet, app, chosen, expected):
    """The others run as before, and what the user has chosen stays."""
    def start():
        os.sched_setscheduler(0, chosen, os.sched_param(0))
        return limpet(app("http-ws.js"), listen="127.0.0.1:0", workers=1)

    # A thread of its own, since not everybody may go back.
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        front = thread.submit(start).result()
    pid = front.wait_ready(1)["0"]
    assert os.sched_getscheduler(front.router()) == expected
    assert os.sched_getscheduler(front.process.pid) == os.sched_getscheduler(pid) == chosen
