"""Workers that start slowly, never, or die at once."""
import os
import signal
import time

from harness.http import get
from harness.wait import wait_until


def pool(command, **options):
    return {
        "listeners": {"web": {"address": "127.0.0.1:0", "pool": "app"}},
        "pools": {"app": {"command": command, "workers": 2, **options}},
    }


def test_connections_wait_for_a_worker_that_starts_slowly(limpet, app):
    front = limpet(config=pool(app("slow-start.js"), hold="20s", environment={"DELAY": "1500"}))
    answer = get(front.address, timeout=30).json()
    assert answer["slot"] in {"0", "1"}


def test_connections_wait_for_their_slot_to_come_back(limpet, app):
    front = limpet(config=pool(app("crash.js"), hold="20s"))
    slots = front.wait_ready(2)
    home = get(front.address, source="127.0.0.5").json()
    os.kill(home["pid"], signal.SIGKILL)
    answer = get(front.address, source="127.0.0.5", timeout=30).json()
    assert answer["slot"] == home["slot"] and answer["pid"] not in slots.values()


def test_a_worker_that_never_listens_is_reported(limpet, app):
    front = limpet(config=pool(app("never-listens.js"), start_timeout="1s", kill_timeout="1s", hold="1s"))
    front.wait_for(r"was started 1 s ago and does not listen; .*start_timeout", count=2, seconds=30)
    assert not front.ready()
    response = get(front.address, timeout=30)
    assert response.status == 503 and "retry-after" in response.headers


def test_a_worker_that_dies_at_its_start_is_restarted_ever_more_slowly(limpet, app):
    front = limpet(config=pool(app("crash.js"), environment={"AT_START": "exit"}, hold="1s"))
    front.wait_for(r"worker \S+ \(pid \d+\).*(exited|status 3|exit)", count=4, seconds=30)
    begin = front.mark_log()
    end = time.monotonic() + 4
    wait_until(lambda: time.monotonic() > end, "a while", 10)
    deaths = sum("exit" in line for line in front.lines[begin:])
    assert deaths < 40, "a storm of restarts"
    assert get(front.address, timeout=30).status == 503


def test_each_way_to_die_under_a_request_brings_the_slot_back(limpet, app):
    front = limpet(config=pool(app("crash.js"), hold="20s"))
    front.wait_ready(2)
    for way in ("exit", "throw", "abort"):
        home = get(front.address, source="127.0.0.5").json()
        try:
            get(front.address, f"/{way}", source="127.0.0.5")
        except (ConnectionError, OSError):
            pass
        front.wait_replaced(home["slot"], home["pid"])
        answer = get(front.address, source="127.0.0.5", timeout=30).json()
        assert answer["slot"] == home["slot"] and answer["pid"] != home["pid"]
