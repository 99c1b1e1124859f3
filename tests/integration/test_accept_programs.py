"""Protocol accept with servers that are in use: the rows of harness/servers.py."""
import contextlib
import os
import signal

import pytest

from harness import servers
from harness.http import Connection, get
from harness.wait import wait_until
from integration.test_accept_shim import free_port, slots_of

WORKERS = 4
VISITORS = range(30)
ROWS = [server for server in servers.SERVERS if server.quick or servers.ALL]


def start(limpet, server, directory, **options):
    if server.missing():
        pytest.skip(f"{server.missing()} is not installed")
    port = free_port()
    for name in ("answer.json", "index.html"):
        (directory / name).write_text('{"pid": 0, "slot": null, "peer": null}', encoding="utf-8")
    command = server.prepare(directory, port)
    # What is served may run as somebody else.
    with contextlib.suppress(OSError):
        os.chmod(directory, 0o755)
    front = limpet(command, sticky="ip" if server.fastcgi else "cookie:sid", cwd=directory,
                   env={"PYTHONPATH": str(servers.paths.APPS), "PATH": servers.PATH, **server.environment}, **options)
    return front, ("127.0.0.1", port)


def homes_of(server, address):
    """{visitor: slot}, each asked twice."""
    homes = {}
    for number in [*VISITORS, *VISITORS]:
        seen = server.ask(address, number)
        peer = f"127.0.7.{number + 1}" if server.fastcgi else "127.0.0.7"
        assert seen["peer"] in (peer, None)
        assert homes.setdefault(number, seen["slot"]) == seen["slot"], f"visitor {number} moved"
    return homes


def all_acknowledged(front):
    slots = slots_of(front)
    return all(slot["handed_off"] == slot["acknowledged"] > 0 for slot in slots) and slots


def talk(server, address, homes):
    """A WebSocket for a visitor of every slot, open: [(connection, slot)]."""
    held = []
    for slot in sorted(set(homes.values())):
        number = next(number for number, home in homes.items() if home == slot)
        connection = Connection(address)
        assert connection.upgrade(server.websocket, cookie=f"sid=visitor-{number}").status == 101
        assert connection.say("who?")["slot"] == slot
        held.append((connection, slot))
    return held


@pytest.mark.parametrize("server", ROWS, ids=lambda server: server.name)
def test_a_server(limpet, server, tmp_path, servers_tried):
    front, address = start(limpet, server, tmp_path, workers=WORKERS)
    front.wait_ready(WORKERS, seconds=60)
    servers_tried[server.name] = False
    homes = homes_of(server, address)
    slots = wait_until(lambda: all_acknowledged(front), "all acknowledged")
    assert sum(slot["handed_off"] for slot in slots) == 2 * len(VISITORS)
    if server.says:
        assert set(homes.values()) == {str(slot) for slot in range(WORKERS)}
    held = talk(server, address, homes) if server.websocket else []

    # One dies, and its clients come back to its slot; the others' WebSockets do not notice.
    pid = next(slot["pid"] for slot in slots if slot["slot"] == "0")
    (os.killpg if server.outlives else os.kill)(pid, signal.SIGKILL)
    front.wait_replaced("0", pid, seconds=60)
    assert homes_of(server, address) == homes
    for connection, slot in held:
        if slot != "0":
            assert connection.say("still there?")["slot"] == slot
        connection.close()

    # Drained: each ends by itself when it is told.
    front.send_signal(signal.SIGTERM)
    assert front.wait(30) == 0
    for sign in ("past limpet", "did not end in time"):
        assert sign not in front.text()
    servers_tried[server.name] = True


@pytest.mark.parametrize("name", ["gunicorn, gthread", "uvicorn, asyncio", "puma"])
def test_sigterm_finishes_what_is_under_way(limpet, name, tmp_path):
    front, address = start(limpet, servers.BY_NAME[name], tmp_path, workers=1)
    front.wait_ready(1)
    with Connection(address) as connection:
        assert connection.get("/").status == 200
        front.send_signal(signal.SIGTERM)
        assert front.wait() == 0


@pytest.mark.parametrize("name", ["uvicorn, asyncio", "nginx"])
def test_a_rolling_restart_under_requests(limpet, name, tmp_path):
    front, address = start(limpet, servers.BY_NAME[name], tmp_path, workers=2)
    before = front.wait_ready(2)
    front.ctl("restart")
    answered = 0
    while any(pid in before.values() for pid in front.pids()):
        assert get(address, cookie=f"sid={answered}").status == 200
        answered += 1
    wait_until(lambda: len({ready.pid for ready in front.ready()}) == 4, "two new workers")
    assert answered


@pytest.mark.parametrize("name", ["gunicorn, sync", "gunicorn, gthread"])
def test_gunicorn_reloads_its_application_itself(limpet, name, tmp_path):
    server = servers.BY_NAME[name]
    front, address = start(limpet, server, tmp_path, workers=2)
    masters = front.wait_ready(2)
    before = {server.ask(address, number)["pid"] for number in VISITORS}
    for pid in masters.values():
        os.kill(pid, signal.SIGHUP)

    def renewed():
        return not before & {server.ask(address, number)["pid"] for number in VISITORS}
    wait_until(renewed, "new processes serve")
    assert front.wait_ready(2) == masters
