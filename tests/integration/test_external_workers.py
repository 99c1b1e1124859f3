"""Workers that limpet did not start: they join a pool at its socket, and are then as its own."""
import json
import os
import pathlib
import re
import signal
import socket
import subprocess

import pytest

from harness.external import hello
from harness.wait import wait_until


def test_they_serve(externals):
    """Each client finds its worker again, and status knows them."""
    play, workers = externals(slots=3)
    pids = {workers.joined().pid for _ in range(3)}
    homes = {source: play.get(source)["pid"] for source in (f"127.0.8.{n}" for n in range(1, 40))}
    assert set(homes.values()) == pids
    assert all(play.get(source)["pid"] == pid for source, pid in homes.items())
    slots = play.pool()["slots"]
    assert {slot["pid"] for slot in slots} == pids
    assert all(slot["external"] and slot["state"] == "ready" for slot in slots)
    assert play.counter("external_joined") == 3
    assert " external" in play.front.ctl("status")
    play.account()


def test_beside_limpets_own(externals):
    """Slots with names: the first are for limpet's own workers, the last for external ones."""
    play, workers = externals(workers=1, slots=["own", "guest"], weights={"guest": 2})
    guest = workers.joined("guest")
    assert [(slot["slot"], slot["external"]) for slot in play.pool()["slots"]] == [("own", False), ("guest", True)]
    assert play.get(play.source("guest"))["pid"] == guest.pid
    assert play.get(play.source("own"))["pid"] == play.slot("own")["pid"]
    answer, _ = workers.ask(hello(slot="own"))
    assert answer == {"type": "bye", "reason": "slot own is for a worker that limpet starts", "again": False}


def test_the_hello_and_its_answers(externals):
    play, workers = externals(slots=2)
    answer, first = workers.ask(hello(pool="app", slot="1", capabilities=["cumulative", "stats"]))
    assert answer == {"type": "welcome", "version": 1, "pool": "app", "slot": "1", "generation": 1, "worker": 1}
    answer, second = workers.ask(hello(slot="1"))
    assert answer == {"type": "bye", "reason": "slot 1 is taken", "again": True}
    assert second.recv(100) == b""
    answer, second = workers.ask(hello())
    assert answer["slot"] == "0"
    answer, _ = workers.ask(hello())
    assert answer == {"type": "bye", "reason": "every slot is taken", "again": True}
    first.close()
    wait_until(lambda: play.slot("1")["state"] == "free", "slot 1 is free")
    answer, third = workers.ask(hello())
    assert (answer["slot"], answer["generation"]) == ("1", 2)
    assert third.fileno() >= 0
    assert play.counter("external_joined") == 3
    assert play.counter("external_refused") == 2


@pytest.mark.parametrize("message, reason", [
    (hello(slot="9"), "there is no slot 9"),
    (hello(pool="other"), "this is the socket of another pool"),
    ({"type": "ready"}, "the first message must be a hello"),
    ({"type": "hello"}, "the hello has no version"),
    (hello(version=2), "this limpet speaks version 1 of the protocol"),
    (hello(protocol="carrier-pigeon"), "there is no such protocol or flavour"),
    (hello(protocol="node-cluster"), "the channel must come with such a hello; see limpet-join(8)"),
    (b"hello", "the first message must be a hello, one JSON object"),
], ids=["slot", "pool", "type", "no version", "version", "protocol", "no channel", "no JSON"])
def test_what_is_refused(externals, message, reason):
    play, workers = externals()
    answer, connection = workers.ask(message)
    assert answer == {"type": "bye", "reason": reason, "again": False}
    assert connection.recv(100) == b""
    assert play.counter("external_refused") == 1
    play.front.wait_for("asked to join and was refused: " + re.escape(reason))


def test_an_abstract_name(externals):
    play, workers = externals(socket=f"@limpet-test-{os.getpid()}")
    worker = workers.joined()
    assert play.get()["pid"] == worker.pid


def test_modes_of_the_socket(externals):
    play, workers = externals(socket_mode="0660")
    assert pathlib.Path(workers.path).stat().st_mode & 0o777 == 0o660
    play.config["pools"]["app"]["socket_mode"] = "0600"
    play.front.write_config(play.config)
    play.control("reload")
    assert pathlib.Path(workers.path).stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_users_who_may_not(externals):
    """An abstract name has no mode: the kernel's word for who it is decides."""
    play, workers = externals(socket=f"@limpet-test-{os.getpid()}", socket_owner="games")

    def answer_to(uid):
        # The answer to a user who may not join does not wait for the hello: that may find the other end closed.
        script = """import contextlib, socket, sys
connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
connection.connect("\\0" + sys.argv[1][1:])
with contextlib.suppress(BrokenPipeError):
    connection.send(sys.argv[2].encode())
print(connection.recv(8192).decode())"""
        done = subprocess.run(["/usr/bin/python3", "-c", script, workers.path, json.dumps(hello())], user=uid, group=uid,
                              extra_groups=[], capture_output=True, check=True, timeout=10)
        return json.loads(done.stdout)

    assert answer_to(65534) == {"type": "bye", "reason": "this user may not join", "again": False}
    assert answer_to(5)["type"] == "welcome"
    play.front.wait_for("user 65534")


def test_numbers_of_its_own(externals):
    play, workers = externals()
    worker = workers.joined("0")
    assert "values" not in play.slot("0")
    worker.tell(do="tell", message={"type": "stats", "values": {"rooms": 12, "load_1": 0.25}})
    play.wait_slot("0", values={"rooms": 12, "load_1": 0.25})
    assert "worker 0: rooms 12 load_1 0.25" in play.front.ctl("status")
    worker.tell(do="tell", message={"type": "stats", "values": {"rooms": 3}})
    play.wait_slot("0", values={"rooms": 3})
    worker.signal(signal.SIGKILL)
    wait_until(lambda: play.slot("0")["state"] == "free", "slot 0 is free")
    assert "values" not in play.slot("0")


def test_one_that_says_bye(externals):
    """It keeps its connections; its slot is free for the next one at once."""
    play, workers = externals(slots=1, drain_timeout="1m")
    first = workers.joined()
    pinned = play.ask(path="/pin/{}")
    wait_until(lambda: first.report()["clients"] == 1, "a pinned connection")
    first.tell(do="tell", message={"type": "bye", "reason": "deploying"})
    wait_until(lambda: play.slot("0")["state"] == "free", "the slot is free")
    assert play.pool()["retired"] == 1
    second = workers.joined()
    assert play.get()["pid"] == second.pid
    assert pinned.connection.response().json()["pid"] == first.pid
    pinned.connection.send(b"still there\n")
    assert pinned.connection.read_exactly(12) == b"still there\n"


def test_a_rolling_restart_tells_them_to_finish(externals):
    """What starts the next one is not limpet: the slot waits for it."""
    play, workers = externals(slots=2, drain_timeout="1m", hold="10s")
    first, other = workers.joined("0"), workers.joined("1")
    source = play.source("0")
    pinned = play.ask(source, path="/pin/{}")
    wait_until(lambda: first.report()["clients"] == 1, "a pinned connection")
    play.control("restart")
    wait_until(lambda: first.report()["draining"], "it is told")
    wait_until(lambda: workers.processes[1].poll() == 0, "the idle one has ended")
    waiting = play.ask(source)
    new = workers.joined("0")
    assert waiting.answer()["pid"] == new.pid
    assert pinned.connection.response().json()["pid"] == first.pid
    pinned.connection.close()
    assert workers.processes[0].wait(10) == 0
    assert other.pid != new.pid


def test_drain_timeout_ends_nobody(externals):
    play, workers = externals(slots=1, drain_timeout="200ms")
    worker = workers.joined()
    pinned = play.ask(path="/pin/{}")
    pinned.connection.response()
    play.control("restart")
    play.front.wait_for("still has connections after drain_timeout: limpet leaves it alone")
    wait_until(lambda: play.pool()["retired"] == 0, "limpet has forgotten it")
    pinned.connection.send(b"still there\n")
    assert pinned.connection.read_exactly(12) == b"still there\n"
    assert worker.state() in "SR"


def test_limpet_stops_and_they_stay(externals, limpet):
    """They are told that it goes, keep their clients, and join the next one in the same slots."""
    play, workers = externals(slots=2)
    told = [workers.joined("0"), workers.joined("1")]
    pinned = play.ask(path="/pin/{}")
    home = pinned.connection.response().json()["pid"]
    assert play.front.stop() == 0
    play.front = limpet(config=play.config)
    assert [workers.told(process).slot for process in workers.processes] == ["0", "1"]
    assert {"limpet is stopping"} <= set(told[0].report()["byes"])
    assert {play.get(f"127.0.8.{n}")["pid"] for n in range(1, 30)} == {worker.pid for worker in told}
    pinned.connection.send(b"still there\n")
    assert pinned.connection.read_exactly(12) == b"still there\n"
    assert home in {worker.pid for worker in told}
    play.account()


def test_reload_moves_the_socket(externals, tmp_path):
    play, workers = externals(slots=2)
    worker = workers.joined("0")
    play.config["pools"]["app"]["socket"] = str(tmp_path / "elsewhere")
    play.config["pools"]["app"]["slots"] = 3
    play.front.write_config(play.config)
    assert play.control("reload") == {"done": "reloaded"}
    assert not (tmp_path / "join").exists()
    assert workers.joined("2").slot == "2"
    assert play.slot("0")["pid"] == worker.pid
    assert len(play.pool()["slots"]) == 3


def test_a_socket_in_use_changes_nothing(externals, tmp_path):
    play, workers = externals(slots=2)
    worker = workers.joined()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other:
        other.bind(str(tmp_path / "elsewhere"))
        other.listen()
        play.config["pools"]["app"]["socket"] = str(tmp_path / "elsewhere")
        play.front.write_config(play.config)
        assert "error" in play.control("reload")
    assert "Address already in use" in play.front.text()
    play.config["pools"]["app"]["socket"] = str(tmp_path / "join")
    assert play.get()["pid"] == worker.pid
    assert workers.joined().pid != worker.pid


def test_its_slot_goes(externals):
    """A reload with fewer slots: the worker finishes, and ends."""
    play, workers = externals(slots=2, drain_timeout="1m")
    workers.joined("0")
    workers.joined("1")
    play.config["pools"]["app"]["slots"] = 1
    play.front.write_config(play.config)
    play.control("reload")
    assert workers.processes[1].wait(10) == 0
    assert play.get()["slot"] == "0"
