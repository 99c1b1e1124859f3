"""Workers that do harm, beside one that does not: limpet and the clients of the good one do not suffer."""
import os
import signal
import sys

import pytest

from harness import paths, record
from harness.http import Connection, request
from harness.wait import wait_until

MISBEHAVE = str(paths.TESTS / "workers" / "misbehave.py")

# Does the bad worker take connections for its own (and so may spoil them)?
KINDS = {
    "exit at once": False,
    "close the channel at once": False,
    "another version": False,
    "leave at once": False,
    "garbage": True,
    "files": True,
    "flood": True,
    "acknowledge and refuse": True,
    "refuse and go": False,
    "die at a connection": False,
    "close the channel at a connection": True,
    "shut down one direction": True,
    "never read": True,
    "exit after a moment": False,
    "fork": True,
}


def start(limpet, how, pool=()):
    """A pool of the bad, and one that is good, on listeners of their own."""
    config = record.config(workers=2)
    config["listeners"]["bad"] = {"address": "127.0.0.2:0", "pool": "bad", "head_timeout": "1s",
                                  "sticky": [{"cookie": "sid"}]}
    config["listeners"]["web"]["pool"] = "record"
    config["pools"]["bad"] = {"command": [sys.executable, MISBEHAVE, how], "protocol": "limpet", "workers": 2, "hold": "200ms",
                              "stuck_timeout": "500ms", "kill_timeout": "500ms", "start_timeout": "1s", "drain_timeout": "300ms", **dict(pool)}
    front = limpet(config=config)
    wait_until(lambda: os.path.exists(front.control), "the control socket")
    wait_until(lambda: all(slot["state"] == "ready" for slot in pools(front)["record"]), "the good ones are ready", 30)
    front.wait_for("listening on .*pool bad")
    front.bad = next(address for address, pool in front.listening() if pool == "bad")
    front.good = next(address for address, pool in front.listening() if pool == "record")
    return front


def pools(front):
    return {name: pool["slots"] for name, pool in record.status(front)["pools"].items()}


@pytest.mark.parametrize("how,takes", KINDS.items(), ids=[name.replace(" ", "-") for name in KINDS])
def test_a_bad_worker_harms_only_its_own_clients(limpet, how, takes):
    front = start(limpet, how)
    router = front.router()
    for _ in range(3):
        clients = [Connection(front.bad, timeout=20) for _ in range(30)]
        for number, connection in enumerate(clients):
            connection.send(request(cookie=f"sid={number}"))
        for number in range(30):
            assert record.ask(front.good, request(cookie=f"sid={number}"))["pool"] == "record"
        if not takes:  # then nobody waits for ever
            for connection in clients:
                try:
                    connection.more()
                except ConnectionResetError:
                    pass
        for connection in clients:
            connection.close()
    state = record.status(front)
    assert (state["router_pid"], state["counters"]["routers_started"]) == (router, 1), front.text()
    # The good ones were left alone.
    assert {slot["restarts"] for slot in pools(front)["record"]} == {0}
    # What the front has open is bounded, and does not grow with what it was sent.
    assert front.open_files(router) < 200, record.files_of(router)
    assert front.open_files(front.process.pid) < 60, record.files_of(front.process.pid)
    # Nor does it start workers in a circle.
    assert state["counters"]["workers_started"] < 60


def test_stopped_workers_are_ended_at_the_end(limpet):
    front = record.start(limpet, workers=3, pool={"kill_timeout": "300ms", "drain_timeout": "300ms"})
    for slot in record.slots(front).values():
        os.kill(slot["pid"], signal.SIGSTOP)
    front.stop()


def test_workers_killed_in_the_middle_of_hand_offs(limpet):
    front = record.start(limpet, workers=4, pool={"window": 8})
    with record.unharmed(front):
        for number in range(6):
            clients = []
            for _ in range(80):
                clients.append(Connection(front.address, timeout=30))
                clients[-1].send(request(cookie=f"sid={len(clients)}"))
            slots = [slot for slot in record.slots(front).values() if slot["pid"]]
            os.kill(slots[number % len(slots)]["pid"], signal.SIGSTOP)
            os.kill(slots[number % len(slots)]["pid"], signal.SIGKILL)
            for connection in clients:
                try:
                    connection.more()
                except ConnectionResetError:
                    pass
                connection.close()
        wait_until(lambda: all(slot["state"] == "ready" for slot in record.slots(front).values()), "all are back", 40)
    assert all(slot["unacknowledged"] == slot["waiting"] == 0 for slot in record.slots(front).values())


def test_a_killed_router_leaves_no_wrong_numbers(limpet):
    """What the old one had under way is not counted as under way by the new one, which goes on with those that waited."""
    front = record.start(limpet, "silent", workers=1, pool={"window": 2, "stuck_timeout": "10m", "queue_timeout": "5s", "drain_timeout": "300ms"})
    clients = [Connection(front.address) for _ in range(5)]
    for connection in clients:
        connection.send(request(cookie="sid=a"))
    wait_until(lambda: record.counters(front)["parked"] == 3, "two are sent, three wait")
    os.kill(front.router(), signal.SIGKILL)
    wait_until(lambda: record.counters(front)["routers_started"] == 2, "a new router")
    wait_until(lambda: (record.slots(front)["0"]["waiting"], record.slots(front)["0"]["unacknowledged"]) == (1, 2),
               f"two of the three are under way: {record.slots(front)}", 5)
    for connection in clients:
        connection.close()
