"""A connection that was handed off has no tie to limpet's own processes."""
import os
import signal

import pytest

from harness.http import Connection
from harness.wait import wait_until


def open_sockets(front, count=10):
    connections = [Connection(front.address, source=f"127.0.0.{number + 1}") for number in range(count)]
    pids = []
    for connection in connections:
        assert connection.upgrade().status == 101
        pids.append(connection.say("first")["pid"])
    return connections, pids


@pytest.mark.parametrize("event", ["router killed", "reload"])
def test_a_new_router_changes_nothing_for_open_websockets(limpet, app, event):
    front = limpet(app("http-ws.js"), listen="127.0.0.1:0", workers=2)
    front.wait_ready(2)
    connections, pids = open_sockets(front)
    router = front.router()
    if event == "reload":
        front.send_signal(signal.SIGHUP)
    else:
        os.kill(router, signal.SIGKILL)
    wait_until(lambda: [pid for pid in front.pids("limpet-router") if pid != router], "another router")
    for connection, pid in zip(connections, pids):
        assert connection.say("after")["pid"] == pid
    # And the new router sends the same clients to the same workers.
    for number, pid in enumerate(pids):
        with Connection(front.address, source=f"127.0.0.{number + 1}") as connection:
            assert connection.get("/").json()["pid"] == pid
    for connection in connections:
        connection.close()


def test_a_drain_lets_open_websockets_finish(limpet, app):
    front = limpet(app("http-ws.js"), listen="127.0.0.1:0", workers=2)
    front.wait_ready(2)
    connections, pids = open_sockets(front, 4)
    address = front.address
    front.send_signal(signal.SIGTERM)
    front.wait_for(r"drain|stopping|stop")
    for connection, pid in zip(connections, pids):
        assert connection.say("still here")["pid"] == pid
    with pytest.raises(OSError):
        for _ in range(1000):
            Connection(address).close()
    assert front.process.poll() is None
    for connection in connections:
        connection.close()
    assert front.wait() == 0
