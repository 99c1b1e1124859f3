"""limpet with workers of tests/workers/record.py, and what is asked of every limpet that was given bad input."""
import contextlib
import json
import os
import sys

from harness import paths
from harness.http import Connection, request
from harness.wait import wait_until

WORKER = paths.TESTS / "workers" / "record.py"


def config(*behaviour, workers=2, address="127.0.0.1:0", sticky=({"cookie": "sid"},), listener=(), pool=()):
    """behaviour: arguments of record.py."""
    return {
        "listeners": {"web": {"address": address, "sticky": list(sticky), **dict(listener)}},
        "pools": {"record": {"command": [sys.executable, str(WORKER), *map(str, behaviour)], "protocol": "limpet",
                             "workers": workers, **dict(pool)}},
    }


def start(limpet, *behaviour, ready=None, **options):
    """Starts it, and waits until its workers (or so many of them) are ready."""
    front = limpet(config=config(*behaviour, **options))
    count = options.get("workers", 2) if ready is None else ready
    if count:
        front.wait_ready(count)
    else:
        front.wait_for("listening on ")
        wait_until(lambda: os.path.exists(front.control), "the control socket")
    return front


def read_line(connection):
    """What the worker says first."""
    return json.loads(connection.read_until(b"\n"))


def ask(address, data=None, source=None, timeout=20.0, **options):
    """One connection; returns what the worker said of itself and of the client."""
    with Connection(address, source, timeout) as connection:
        connection.send(request(**options) if data is None else data)
        return read_line(connection)


def echo(address, chunks, source=None, timeout=20.0):
    """Sends chunks, a segment each, then ends; returns what the worker said, and the bytes that it got."""
    with Connection(address, source, timeout) as connection:
        for chunk in chunks:
            connection.send(chunk)
        connection.socket.shutdown(1)
        return read_line(connection), connection.read_all()


def status(front):
    return json.loads(front.ctl("-j", "status"))


def counters(front):
    return status(front)["counters"]


def slots(front):
    return {slot["slot"]: slot for pool in status(front)["pools"].values() for slot in pool["slots"]}


@contextlib.contextmanager
def counted(front, **expected):
    """The counters grow by so much within, or a little after."""
    before = counters(front)

    def grown():
        after = counters(front)
        return {name: after[name] - before[name] for name in expected}
    yield
    wait_until(lambda: grown() == expected, f"counters grow by {expected}, and not by {grown()}", 5)


@contextlib.contextmanager
def unharmed(front, good=None):
    """Whatever happens within: afterwards the same router serves, with as many open files, and uses no CPU for nothing."""
    good = good or (lambda: ask(front.address, cookie="sid=good"))
    good()
    router = front.router()
    idle = lambda: all(slot["unacknowledged"] == 0 for slot in slots(front).values())  # noqa: E731
    wait_until(idle, "nothing unacknowledged")
    files = front.open_files(router)
    supervisor_files = front.open_files(front.process.pid)
    yield
    good()
    state = status(front)
    assert (state["router_pid"], state["counters"]["routers_started"]) == (router, 1), front.text()
    wait_until(lambda: front.open_files(router) <= files,
               f"the router had {files} open files and has {files_of(router)}", 15)
    wait_until(lambda: front.open_files(front.process.pid) <= supervisor_files,
               f"the supervisor had {supervisor_files} open files and has {files_of(front.process.pid)}", 15)
    check_idle(front)


def check_idle(front):
    """With nothing to do, the router's loop stands still (a timer or two of what was before may still run out)."""
    def quiet():
        before = counters(front)["wakeups"]
        for _ in range(5):
            front.ctl("status")
        return counters(front)["wakeups"] == before
    wait_until(quiet, "the router's loop stands still", 15)


def files_of(pid):
    found = []
    for number in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            found.append(f"{number}:{os.readlink(f'/proc/{pid}/fd/{number}')}")
    return found
