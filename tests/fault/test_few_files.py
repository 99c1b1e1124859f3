"""Files run out: accepting pauses without spinning, says so once at each edge, workers can still start, and it recovers."""
import contextlib
import json
import os
import resource
import signal
import socket

from harness import paths
from harness.http import Connection
from harness.wait import wait_until

FILES = 32


def counters(front):
    return json.loads(front.ctl("-j", "status"))["counters"]


def processor_time(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_few_files(limpet):
    front = limpet(config={
        "listeners": {"web": {"address": "127.0.0.1:0", "sticky": [{"cookie": "sid"}, "ip"], "head_timeout": "30s"}},
        "pools": {"p": {"command": [str(paths.demo_worker())], "protocol": "limpet", "workers": 2}}},
        launcher=["prlimit", f"--nofile={FILES}:{FILES}"])
    front.wait_for(rf"the limit of open files is {FILES}, but max_waiting and window of this configuration allow for \d+")
    front.wait_ready(2)
    router = front.router()
    idle = front.open_files(router)

    # More clients than files: all connect, because the backlog has room, and none says a word.
    silent = [Connection(front.address, timeout=60) for _ in range(40)]
    for client in silent:
        client.send(b"G")
    front.wait_for("warning: Too many open files: accepting is paused")
    assert counters(front)["accept_paused"] >= 1
    assert front.open_files(router) < FILES

    # A worker that dies now gets its successor: some files were kept for that.
    pid = front.ready()[0].pid
    slot = front.ready()[0].slot
    os.kill(pid, signal.SIGKILL)
    front.wait_replaced(slot, pid)
    assert front.router() == router

    # A client with a whole request is served, because those that keep the files for nothing give way.
    with Connection(front.address, timeout=60) as client:
        assert client.get("/").status == 200
    assert counters(front)["evicted"] > 0

    # No spinning: while all files are taken, the loop runs for its timers alone.
    after = wait_until(lambda: (c := counters(front))["accepted"] == len(silent) + 1 and c, "all of them accepted", 60)
    assert after["wakeups"] < 20 * (after["accepted"] + after["evicted"] + after["accept_paused"]) + 500

    for client in silent:
        client.close()
    front.wait_for("accepting again")
    for _ in range(50):
        with Connection(front.address, timeout=60) as client:
            assert client.get("/").status == 200
    assert front.text().count("accepting is paused") == front.text().count("accepting again") == 1
    wait_until(lambda: front.open_files(router) <= idle + 2, "no file left behind")
    assert counters(front)["routers_started"] == 1


def test_limpetctl_waits_while_the_supervisor_has_no_file(limpet, app):
    front = limpet(app("http-ws.js"), listen="127.0.0.1:0", workers=1, launcher=["prlimit", "--nofile=64:64"])
    front.wait_ready(1)
    pid = front.process.pid
    numbers = {int(number) for number in os.listdir(f"/proc/{pid}/fd")}
    lowest_free = min(set(range(64)) - numbers)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest_free, 64))
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(15)
        client.connect(str(front.control))
        client.sendall(b'{"command":"status"}\n')
        # It is left in the backlog; a loop that is woken for it all the time would use a processor up.
        spent = processor_time(pid)
        with contextlib.suppress(TimeoutError):
            client.settimeout(1)
            assert not client.recv(1)
        assert processor_time(pid) - spent < 0.5
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (64, 64))
        client.settimeout(15)
        assert client.recv(1) == b"{"
