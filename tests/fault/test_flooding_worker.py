"""A worker that never stops talking gets its turn and no more: the clients of the others, and limpetctl, do not notice."""
import json

import pytest

from harness import paths
from harness.http import Connection
from harness.wait import wait_until

TURN = 64 * 1024


def status(front):
    return json.loads(front.ctl("-j", "status"))


@pytest.mark.parametrize("what,length", [("chatter", 20), ("close", 60), ("listen", 100), ("reopen", 100), ("files", 20)])
def test_a_worker_floods_its_channel(limpet, one_cpu, what, length):
    """All on one CPU, where nobody comes to speak who is not let."""
    front = limpet(config={
        "listeners": {"web": {"address": "127.0.0.1:0"}},
        "pools": {"default": {"command": ["/usr/bin/python3", str(paths.APPS / "flood.py"), what], "workers": 2,
                              "protocol": "node-cluster", "on_down": "next", "kill_timeout": "1s"}}})
    front.wait_for(r"worker 1 \(pid \d+\) ready")
    before = status(front)
    files = front.open_files(front.router())
    for _ in range(100):
        with Connection(front.address) as client:
            assert client.get("/").status == 200
    # The flood went on all the time, and no wake-up read more of it than one turn.
    skipped = "worker_messages_skipped"
    if what in ("chatter", "files"):
        after = wait_until(lambda: (s := status(front))["counters"][skipped] > before["counters"][skipped] and s,
                           "the flood is read")
        read = after["counters"][skipped] - before["counters"][skipped]
        turns = after["counters"]["wakeups"] - before["counters"]["wakeups"]
        assert read <= (turns + 1) * (TURN // length + 1)
    assert status(front)["counters"]["routers_started"] == 1
    # Acknowledgements come behind the flood.
    wait_until(lambda: front.open_files(front.router()) <= files + 4, "files are closed")
    assert status(front)["counters"]["no_worker"] == 0
