"""Workers that leave: each way of leaving loses no client, and the slot is filled again."""
import pytest

from harness.http import get


@pytest.mark.parametrize("how", ["worker", "process", "kill"])
def test_a_worker_that_disconnects_is_replaced(limpet, app, how, node_protocol):
    front = limpet(app("disconnect.js"), protocol=node_protocol, listen="127.0.0.1:0", workers=2)
    front.wait_ready(2)
    left = get(front.address, f"/{how}", source="127.0.0.1").json()
    # What the worker took over before it said so is its own, and lost if it exits at once.
    front.wait_for(rf"worker {left['slot']} \(pid {left['pid']}\) (leaves|ended)")
    for number in range(20):
        answer = get(front.address, source=f"127.0.0.{number + 1}").json()
        assert answer["pid"] != left["pid"] or number == 0
    new_pid = front.wait_replaced(left["slot"], left["pid"])
    answer = get(front.address, source="127.0.0.1").json()
    assert (answer["slot"], answer["pid"]) == (left["slot"], new_pid)
