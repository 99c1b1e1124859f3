"""limpet-join: programs that limpet did not start, in its pools."""
import contextlib
import json
import os
import re
import signal
import socket
import subprocess

import pytest

from harness import documents, paths
from harness.processes import children_of
from harness.scene import SCRIPTED
from harness.wait import wait_until

PARENT = str(paths.TESTS / "workers" / "parent.js")


class Join:
    """limpet-join, started by a test."""

    def __init__(self, workers, *arguments, **environment):
        self.log = workers.directory / f"join-{len(workers.processes)}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [paths.limpet_join(), "-S", workers.path, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, env={**os.environ, "FAULT_DIR": str(workers.directory), **environment})
        workers.processes.append(self.process)
        self.workers = workers

    def text(self):
        return self.log.read_text()

    def wait_ready(self):
        """Its slot."""
        return wait_until(lambda: self.workers.slot_of(self.process.pid), f"ready; log:\n{self.text()}", 20)

    def children(self):
        with contextlib.suppress(FileNotFoundError):
            return children_of(self.process.pid)
        return []

    def child(self):
        return wait_until(self.children, f"a command; log:\n{self.text()}")[0]


@pytest.fixture
def join(externals):
    """join(..., slots=2): a scene and a function that starts limpet-join."""
    def make(**options):
        play, workers = externals(**options)
        return play, workers, lambda *arguments, **environment: Join(workers, *arguments, **environment)
    return make


COMMANDS = {"limpet": ["-p", "limpet", "--", *SCRIPTED], "node-cluster": ["--", *paths.JOURNAL]}


@pytest.mark.parametrize("protocol", ["limpet", "node-cluster"])
def test_commands_of_each_protocol(join, protocol):
    play, _, start_join = join(slots=["a", "b"])
    one, two = start_join("-s", "b", *COMMANDS[protocol]), start_join(*COMMANDS[protocol])
    assert one.wait_ready() == "b"
    assert two.wait_ready() == "a"
    homes = {f"127.0.8.{n}": play.get(f"127.0.8.{n}") for n in range(1, 30)}
    assert {home["slot"]: home["pid"] for home in homes.values()} == {"a": two.child(), "b": one.child()}
    assert all(play.get(source)["pid"] == home["pid"] for source, home in homes.items())
    play.account()


def test_a_program_that_knows_nothing(join):
    play, _, start_join = join(slots=1)
    one = start_join("--", "/usr/bin/python3", "-m", "http.server", "--directory", str(play.directory), "8000")
    one.wait_ready()
    with socket.create_connection(play.address, 10) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"200 OK" in client.recv(1000)


def test_the_environment(join):
    play, workers, start_join = join(slots=["x"], socket="@limpet-join-test-%d" % os.getpid())
    report = workers.directory / "environment"
    start_join("-p", "limpet", "--", "sh", "-c", f"env >{report}.new; mv {report}.new {report}; exec sleep 100",
               LIMPET_POOL="app", LIMPET_SLOT="x", NOTIFY_SOCKET="/nonexistent")
    wait_until(report.exists, "the command has run")
    environment = dict(line.split("=", 1) for line in report.read_text().splitlines() if "=" in line)
    assert environment["LIMPET_POOL"] == "app" and environment["LIMPET_SLOT"] == "x"
    assert environment["LIMPET_GENERATION"] == "1" and environment["LIMPET_FD"] == "3"
    assert not {"LIMPET_SOCKET", "NOTIFY_SOCKET"} & set(environment)


def test_it_ends_as_its_command_does(join):
    play, _, start_join = join(slots=4)
    assert start_join("-p", "limpet", "--", "sh", "-c", "exit 7").process.wait(10) == 7
    assert start_join("-p", "limpet", "--", "sh", "-c", "kill -USR1 $$").process.wait(10) == -signal.SIGUSR1
    assert start_join("-p", "limpet", "--", "/nonexistent").process.wait(10) == 127
    wait_until(lambda: all(slot["state"] == "free" for slot in play.pool()["slots"]), "all slots are free")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_reach_the_command(join, number):
    play, _, start_join = join(slots=1)
    one = start_join("--", *paths.JOURNAL)
    one.wait_ready()
    child = one.child()
    one.process.send_signal(number)
    assert one.process.wait(10) == -number
    assert not os.path.exists(f"/proc/{child}")
    wait_until(lambda: play.slot("0")["state"] == "free", "the slot is free")


def test_the_command_does_not_outlive_it(join):
    play, _, start_join = join(slots=1)
    one = start_join("--", *paths.JOURNAL)
    one.wait_ready()
    child = one.child()
    one.process.kill()
    wait_until(lambda: not os.path.exists(f"/proc/{child}"), "the command has ended")
    wait_until(lambda: play.slot("0")["state"] == "free", "the slot is free")


@pytest.mark.parametrize("arguments, problem", [
    ([], "nothing to run"), (["-p", "node-cluster", "--", "node"], "needs a script"),
    (["-p", "node-ipc", "--", "node", "x.js"], "node-ipc needs a flavour"), (["-p", "x", "--", "y"], "is none of"),
    (["--channel-fd", "0"], "not an 'ipc' channel"), (["--channel-fd", "x"], "not a number"),
    (["--channel-fd", "0", "--", "y"], ""), (["-s", "nine", "--", "sleep", "1"], "there is no slot nine"),
    (["-P", "other", "--", "sleep", "1"], "this is the socket of another pool")])
def test_what_cannot_be(join, arguments, problem):
    _, _, start_join = join(slots=1)
    one = start_join(*arguments)
    assert one.process.wait(10) == 1
    assert problem in one.text()
    assert all(line.startswith("limpet-join: ") for line in one.text().splitlines()), one.text()


def test_it_waits_for_its_place(join):
    """For a slot that is taken, and for a limpet that is not there yet."""
    play, workers, start_join = join(slots=1)
    first = start_join("-p", "limpet", "--", *SCRIPTED)
    first.wait_ready()
    second = start_join("-p", "limpet", "--", *SCRIPTED)
    wait_until(lambda: "every slot is taken" in second.text(), "it says why it waits")
    assert not second.children()
    first.process.terminate()
    assert second.wait_ready() == "0"
    assert play.get()["pid"] == second.child()


def test_a_rolling_restart(join):
    """Each is told to finish in its own way, and its place is free for the next."""
    play, _, start_join = join(slots=3, drain_timeout="1m")
    for protocol in ("limpet", "node-cluster"):
        one = start_join(*COMMANDS[protocol])
        one.wait_ready()
        play.control("restart")
        assert one.process.wait(10) == 0
    one = start_join("--", "/usr/bin/python3", "-m", "http.server", "8000")
    one.wait_ready()
    play.control("restart")
    assert one.process.wait(10) == -signal.SIGTERM
    assert start_join(*COMMANDS["limpet"]).wait_ready() in "012"


def restart_front(play, limpet, number):
    host, port = play.address
    play.front.send_signal(number)
    play.front.process.wait(20)
    wait_until(lambda: not play.front.pids(), "no process of limpet's left")
    play.config["listeners"]["web"]["address"] = f"{host}:{port}"
    play.front = limpet(config=play.config)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
def test_another_limpet(join, limpet, number):
    """A worker of protocol limpet goes on, with its clients, and notices nothing."""
    play, _, start_join = join(slots=["a", "b"])
    one = start_join("-s", "b", *COMMANDS["limpet"])
    one.wait_ready()
    child = one.child()
    pinned = play.ask(path="/pin/{}")
    assert pinned.connection.response().json()["pid"] == child
    for _ in range(3):
        restart_front(play, limpet, number)
        assert one.wait_ready() == "b"
        assert play.get()["pid"] == child
    pinned.connection.send(b"still there\n")
    assert pinned.connection.read_exactly(12) == b"still there\n"
    play.account()


@pytest.mark.parametrize("command", [paths.JOURNAL, ["/usr/bin/python3", "-m", "http.server", "8000"]], ids=["node", "accept"])
def test_those_that_cannot_have_another_end(join, command):
    play, _, start_join = join(slots=1)
    one = start_join("--", *command)
    one.wait_ready()
    play.front.send_signal(signal.SIGKILL)
    play.front.process.wait(10)
    assert one.process.wait(10) == 75, one.text()
    assert "cannot have another" in one.text()


def test_upgrade_reload_and_a_killed_router(join):
    play, _, start_join = join(slots=2)
    joined = [start_join("--", *paths.JOURNAL), start_join(*COMMANDS["limpet"])]
    for one in joined:
        one.wait_ready()
    with play.load(concurrency=4, pinned=6) as load:
        wait_until(lambda: load.open == 6, "pinned connections")
        for number in (signal.SIGUSR2, signal.SIGHUP, signal.SIGUSR2):
            old = play.router()
            play.front.send_signal(number)
            wait_until(lambda: old not in play.front.pids("limpet-router") and play.router() != old, "a router", 30)
        served = load.served
        wait_until(lambda: load.served > served + 20, "load goes on")
    play.account(load)
    assert play.counter("external_joined") == 2
    # What an upgrade carried over is enough to tell them to finish.
    play.control("restart")
    assert [one.process.wait(15) for one in joined] == [0, 0]


def test_systemd_is_told(join, tmp_path):
    play, _, start_join = join(slots=1)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(15)
        start_join("--", *paths.JOURNAL, NOTIFY_SOCKET=str(tmp_path / "notify"))
        assert manager.recv(1000) == b"READY=1"
    assert play.slot("0")["state"] == "ready"


# ---- Node.js processes ----

def start_parent(workers, script):
    environment = {**os.environ, "LIMPET_SOCKET": workers.path, "FAULT_DIR": str(workers.directory),
                   "PATH": f"{paths.limpet_join().parent}:{os.environ['PATH']}"}
    parent = subprocess.Popen(["node", script], env=environment, stdin=subprocess.DEVNULL, start_new_session=True,
                              cwd=workers.directory)
    workers.processes.append(parent)
    return parent


def test_a_node_process_that_is_nobodys_child(externals, limpet):
    """Its connections, what is known of each, its numbers; and another limpet."""
    play, workers = externals(slots=1)
    parent = start_parent(workers, PARENT)
    play.wait_slot("0", state="ready", values={"served": 0})
    answer = play.get()
    assert answer["pid"] == parent.pid
    assert answer["listener"] == "web" and answer["key"] == "ip" and re.fullmatch(r"127\.0\.0\.1:\d+", answer["client"])
    play.wait_slot("0", values={"served": 1})
    restart_front(play, limpet, signal.SIGKILL)
    wait_until(lambda: play.slot("0")["state"] == "ready", "it has joined the next one")
    assert play.get()["pid"] == parent.pid
    restart_front(play, limpet, signal.SIGTERM)
    wait_until(lambda: play.slot("0")["state"] == "ready", "it has joined the next one")
    assert play.get()["pid"] == parent.pid
    play.control("restart")
    assert parent.wait(10) == 0
    wait_until(lambda: play.slot("0")["state"] == "free", "the slot is free")
    play.account()


def test_a_node_process_that_ends(externals):
    play, workers = externals(slots=1)
    parent = start_parent(workers, PARENT)
    play.wait_slot("0", state="ready")
    os.kill(parent.pid, signal.SIGKILL)
    wait_until(lambda: play.slot("0")["state"] == "free", "the slot is free")
    wait_until(lambda: play.status()["counters"]["worker_channels_failed"] == 1, "its channel has ended")


def test_the_manuals_node_process(externals):
    play, workers = externals(slots=1)
    script = workers.directory / "shown.js"
    script.write_text(documents.literal("limpet-join.8", "const { spawn }"), encoding="utf-8")
    parent = start_parent(workers, str(script))
    play.wait_slot("0", state="ready")
    with socket.create_connection(play.address, 10) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(1000), b""))
    assert answer.endswith(b"\r\n%d\n" % parent.pid) or b"%d\n" % parent.pid in answer
    play.control("restart")
    assert parent.wait(10) == 0


def test_json_is_what_limpetctl_prints(join):
    play, _, start_join = join(slots=1)
    one = start_join(*COMMANDS["limpet"])
    one.wait_ready()
    slot = json.loads(play.front.ctl("-j", "status"))["pools"]["app"]["slots"][0]
    assert slot["external"] is True and slot["pid"] == one.process.pid
