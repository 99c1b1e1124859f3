"""limpet and a service manager: what it says, and the sockets that it leaves there and gets from there."""
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import time

import pytest

from harness.http import Connection, get, request
from harness.manager import Manager, passing
from harness.wait import wait_until


@pytest.fixture
def manager(tmp_path):
    with Manager(tmp_path) as running:
        yield running


def kill(front):
    """SIGKILL to the supervisor; waits until nothing of it is left."""
    front.process.kill()
    front.wait()
    wait_until(lambda: not front.pids(), "no process left")


def listening(address="127.0.0.1", port=0):
    if isinstance(address, pathlib.Path):
        result = socket.socket(socket.AF_UNIX)
        result.bind(str(address))
    else:
        result = socket.socket(socket.AF_INET)
        result.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        result.bind((address, port))
    result.listen(100)
    return result


def refused(address):
    try:
        Connection(address).close()
    except OSError:
        return True
    return False


# What it says.

def test_ready_when_every_pool_has_a_ready_worker(limpet, app, manager):
    front = limpet(config={"pools": {
        "quick": {"command": app("http-ws.js"), "workers": 1},
        "slow": {"command": app("slow-start.js"), "workers": 2, "environment": {"DELAY": "700"}},
    }}, **manager.options())
    ready = manager.wait_for("READY")
    assert ready == {"READY": "1", "MAINPID": str(front.process.pid)}
    states = {name: {slot["state"] for slot in pool["slots"]} for name, pool in front.status()["pools"].items()}
    assert all("ready" in pool for pool in states.values()), states
    manager.wait_for("STATUS", "3 of 3 workers ready in 2 pools")


def test_a_pool_that_never_gets_ready_does_not_stop_the_others(limpet, app, manager):
    front = limpet(config={"pools": {
        "good": {"command": app("http-ws.js"), "workers": 1, "start_timeout": "1s"},
        "bad": {"command": app("never-listens.js"), "workers": 1, "start_timeout": "2s"},
    }}, **manager.options())
    begin = time.monotonic()
    manager.wait_for("READY")
    assert time.monotonic() - begin > 1
    assert {worker.pool for worker in front.ready()} == {"good"}
    manager.wait_for("STATUS", "1 of 2 workers ready in 2 pools")


def test_not_ready_without_any_worker(limpet, app, manager):
    front = limpet(config={"pools": {
        "bad": {"command": app("never-listens.js"), "workers": 1, "start_timeout": "1s"}}}, **manager.options())
    assert manager.wait_for("EXTEND_TIMEOUT_USEC") == {"EXTEND_TIMEOUT_USEC": "11000000"}
    front.wait_for("was started 1 s ago")
    front.send_signal(signal.SIGHUP)
    front.wait_for("reloaded")
    front.send_signal(signal.SIGTERM)
    manager.wait_for("STOPPING")
    assert not [message for message in manager.since() if "READY" in message or "RELOADING" in message]


def test_reload(limpet, app, manager):
    config = {"pools": {"app": {"command": app("http-ws.js"), "workers": 1}}}
    front = limpet(config=config, **manager.options())
    manager.wait_for("READY")
    begin, now = manager.mark(), time.monotonic()
    front.send_signal(signal.SIGHUP)
    manager.wait_for("READY", after=begin)
    said = [message for message in manager.since(begin) if "STATUS" not in message]
    assert [list(message) for message in said] == [["RELOADING", "MONOTONIC_USEC"], ["READY"]]
    assert now <= int(said[0]["MONOTONIC_USEC"]) / 1e6 <= time.monotonic()
    wait_until(lambda: len(front.pids("limpet-router")) == 1, "one router")

    begin = manager.mark()
    front.config_file.write_text("{")
    front.send_signal(signal.SIGHUP)
    manager.wait_for("RELOADING", after=begin)
    manager.wait_for("READY", after=begin)
    manager.wait_for("STATUS", "1 of 1 workers ready in 1 pool; the last reload changed nothing, the log says why")


def test_stopping_asks_for_the_time_that_it_may_take(limpet, app, manager):
    front = limpet(config={
        "listeners": {"web": {"address": "127.0.0.1:0", "pool": "app", "head_timeout": "3s"}},
        "pools": {"app": {"command": app("http-ws.js"), "workers": 1, "drain_timeout": "10m", "kill_timeout": "20s",
                          "hold": "2s"}}}, **manager.options())
    front.wait_ready(1)
    with Connection(front.address) as pinned:
        assert pinned.upgrade().status == 101
        assert len(manager.stored(1)) == 1
        begin = manager.mark()
        front.send_signal(signal.SIGTERM)
        seconds = int(manager.wait_for("EXTEND_TIMEOUT_USEC", after=begin)["EXTEND_TIMEOUT_USEC"]) / 1e6
        assert 620 < seconds < 660
        assert list(manager.since(begin)[0]) == ["STOPPING"]
        # Stopped on purpose: the port closes now.
        manager.stored(0)
        wait_until(lambda: refused(front.address), "the port closed")
        manager.wait_for("STATUS", "draining: 1 workers finish their connections")
        assert pinned.say("still here")
    assert front.wait() == 0


def test_watchdog(limpet, app, manager):
    limpet(app("http-ws.js"), workers=1, **manager.options(WATCHDOG_USEC="200000"))
    wait_until(lambda: sum("WATCHDOG" in message for message in manager.since()) >= 5, "five signs of life")


def test_workers_know_nothing_of_it(limpet, app, manager):
    given = listening()
    front = limpet(app("http-ws.js"), listen="127.0.0.1:0", workers=1,
                   **manager.options([("limpet.socket", given)], WATCHDOG_USEC="60000000"))
    for pid in front.wait_ready(1).values():
        environment = pathlib.Path(f"/proc/{pid}/environ").read_bytes()
        assert b"LIMPET_SLOT=" in environment
        for name in (b"LISTEN_", b"NOTIFY_SOCKET", b"WATCHDOG_"):
            assert name not in environment
    given.close()


def test_a_manager_that_does_not_answer_changes_nothing(limpet, app, tmp_path):
    front = limpet(app("http-ws.js"), listen="127.0.0.1:0", workers=1, env={"NOTIFY_SOCKET": str(tmp_path / "none")})
    front.wait_ready(1)
    front.wait_for("the service manager does not take messages: No such file or directory")
    assert get(front.address).status == 200


# Sockets that it leaves.

@pytest.mark.parametrize("where", ["listener", "workers", "unix", "several"])
def test_killed_supervisor_leaves_its_ports_open(limpet, app, manager, tmp_path, where):
    path = tmp_path / "web.sock"
    options = {
        "listener": {"command": app("http-ws.js"), "listen": "127.0.0.1:0"},
        "workers": {"command": app("http-ws.js")},
        "unix": {"command": app("http-ws.js"), "listen": f"unix:{path}"},
        "several": {"command": app("http-ws.js"), "listen": ["127.0.0.1:0", "127.0.0.2:0"]},
    }[where]
    front = limpet(workers=2, **options, **manager.options())
    manager.wait_for("READY")
    addresses = [path] if where == "unix" else [
        ("127.0.0.1" if host == "::" else host, port) for (host, port), _ in front.listening()]
    names = manager.stored(len(addresses))
    for _ in range(2):
        kill(front)
        # Between two lives: they wait in the kernel's queue.
        waiting = [Connection(address) for address in addresses]
        for connection in waiting:
            connection.send(request())
        begin = manager.mark()
        front = limpet(workers=2, **options, **manager.options())
        for connection in waiting:
            assert connection.response().status == 200
            connection.close()
        for address in addresses:
            assert get(address).status == 200
        manager.wait_for("READY", after=begin)
        # It is known there already.
        assert not [message for message in manager.since(begin) if "FDNAME" in message]
        assert manager.stored(len(addresses)) == names
    front.stop()
    manager.stored(0)
    assert all(refused(address) for address in addresses)
    assert not path.exists()


def test_another_configuration_takes_what_it_needs(limpet, app, manager):
    def config(**listeners):
        return {"listeners": {name: {"address": address, "pool": "app"} for name, address in listeners.items()},
                "pools": {"app": {"command": app("http-ws.js"), "workers": 1, "start_timeout": "2s"}}}
    with listening() as one, listening() as two:
        first, second = (f"127.0.0.1:{probe.getsockname()[1]}" for probe in (one, two))
    front = limpet(config=config(a=first, b=second), **manager.options())
    manager.wait_for("READY")
    assert len(manager.stored(2)) == 2
    kill(front)
    # The same address under another name; the other address is in no configuration any more.
    begin = manager.mark()
    front = limpet(config=config(renamed=first), **manager.options())
    front.wait_ready(1)
    assert get(front.address).status == 200
    front.wait_for(f"{second}, left by the limpet before, is not wanted any more: closed")
    assert len(manager.stored(1)) == 1 and "/renamed/" in manager.stored(1)[0]
    said = [next(name for name in ("FDSTOREREMOVE", "FDSTORE") if name in message)
            for message in manager.since(begin) if "FDNAME" in message]
    assert said == ["FDSTOREREMOVE", "FDSTORE", "FDSTOREREMOVE"]
    host, port = second.split(":")
    # The manager drops its copy in its own time.
    wait_until(lambda: refused((host, int(port))), "the other port is closed")


def test_a_start_that_fails_keeps_what_was_left(limpet, app, manager, tmp_path):
    config = {"listeners": {"web": {"address": "127.0.0.1:0", "pool": "app"}},
              "pools": {"app": {"command": app("http-ws.js"), "workers": 1}}}
    front = limpet(config=config, **manager.options())
    manager.wait_for("READY")
    names, address = manager.stored(1), front.address
    kill(front)
    failed = limpet(config={**config, "hash_secret": str(tmp_path / "none")}, **manager.options())
    assert failed.wait() == 2
    assert manager.stored(1) == names
    with Connection(address) as waiting:
        waiting.send(request())
        front = limpet(config=config, **manager.options())
        assert waiting.response().status == 200


def test_a_reload_stores_and_forgets(limpet, app, manager):
    def config(*ports):
        return {"listeners": {f"on-{port}": {"address": f"127.0.0.1:{port}", "pool": "app"} for port in ports},
                "pools": {"app": {"command": app("http-ws.js"), "workers": 1}}}
    with listening() as one, listening() as two:
        ports = [probe.getsockname()[1] for probe in (one, two)]
    front = limpet(config=config(ports[0]), **manager.options())
    manager.wait_for("READY")
    assert f"on-{ports[0]}" in manager.stored(1)[0]
    begin = front.mark_log()
    front.write_config(config(*ports))
    front.send_signal(signal.SIGHUP)
    front.wait_for("reloaded", after=begin)
    manager.stored(2)
    wait_until(lambda: len(front.pids("limpet-router")) == 1, "one router")
    front.write_config(config(ports[1]))
    front.send_signal(signal.SIGHUP)
    assert f"on-{ports[1]}" in manager.stored(1)[0]


def test_an_upgrade_is_no_new_start(limpet, app, manager, tmp_path):
    path = tmp_path / "given.sock"
    with listening(path) as given, listening() as unused:
        options = {"listen": ["127.0.0.1:0", f"unix:{path}"], "workers": 1}
        front = limpet(app("http-ws.js"), **options,
                       **manager.options([("limpet.socket", given), ("other", unused)]))
        manager.wait_for("READY")
        names, begin = manager.stored(1), manager.mark()
        front.send_signal(signal.SIGUSR2)
        front.wait_for("takes over")
        address = front.address
        assert get(address).status == 200 and get(path).status == 200
        front.send_signal(signal.SIGHUP)
        manager.wait_for("READY", after=begin)
        said = [list(message) for message in manager.since(begin) if "STATUS" not in message]
        assert said == [["RELOADING", "MONOTONIC_USEC"], ["READY"]]
        assert manager.stored(1) == names
        kill(front)
        front = limpet(app("http-ws.js"), **options, **manager.options([("limpet.socket", given)]))
        assert get(address).status == 200 and get(path).status == 200
        front.stop()
    # The path is the manager's.
    assert path.exists()


# Sockets that it gets.

def test_given_sockets_are_found_by_address_and_by_name(limpet, app, tmp_path):
    path = tmp_path / "given.sock"
    with listening() as by_address, listening() as by_name, listening(path) as by_path:
        host, port = by_address.getsockname()
        front = limpet(config={
            "listeners": {
                "first": {"address": f"{host}:{port}", "pool": "app"},
                "second": {"address": "127.0.0.1:1", "pool": "app", "sticky": {"cookie": "id"}},
                "third": {"address": f"unix:{path}", "pool": "app"},
            },
            "pools": {"app": {"command": app("http-ws.js"), "workers": 1}},
        }, **passing([(by_address.fileno(), "limpet.socket"), (by_name.fileno(), "second"),
                      (by_path.fileno(), "limpet.socket")]))
        front.wait_ready(1)
        for one in (by_address, by_name):
            assert get(one.getsockname()).status == 200
        assert get(path).status == 200
        # As on a socket of limpet's own: it wakes up when the head is there.
        assert by_name.getsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT) > 0
        assert by_address.getsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT) == 0
        front.stop()
    assert path.exists()


def test_workers_get_a_given_socket_when_they_ask_for_its_address(limpet, app):
    with listening() as given:
        host, port = given.getsockname()
        with Connection((host, port)) as early:
            early.send(request())
            front = limpet(app("http-ws.js"), workers=2, env={"HOST": host, "PORT": str(port)},
                           **passing([(given.fileno(), "limpet.socket")]))
            assert early.response().status == 200
        assert front.wait_ready(2)
        assert front.listening() == [((host, port), "default")]


def test_a_given_socket_is_put_back_and_taken_again(limpet, app):
    with listening() as given:
        host, port = given.getsockname()

        def config(**listeners):
            return {"listeners": {"other": {"address": "127.0.0.1:0", "pool": "app"}, **listeners},
                    "pools": {"app": {"command": app("http-ws.js"), "workers": 1}}}
        whole = config(web={"address": f"{host}:{port}", "pool": "app"})
        front = limpet(config=whole, **passing([(given.fileno(), "limpet.socket")]))
        front.wait_ready(1)
        assert get((host, port)).status == 200
        for number in range(1, 3):
            front.write_config(config())
            front.send_signal(signal.SIGHUP)
            front.wait_for("reloaded", count=2 * number - 1)
            wait_until(lambda: len(front.pids("limpet-router")) == 1, "one router")
            with Connection((host, port)) as waiting:
                waiting.send(request())
                front.write_config(whole)
                front.send_signal(signal.SIGHUP)
                assert waiting.response().status == 200
            front.wait_for("reloaded", count=2 * number)
            wait_until(lambda: len(front.pids("limpet-router")) == 1, "one router")


def test_a_given_socket_that_nobody_serves_is_said(limpet, app):
    with listening() as given:
        front = limpet(config={
            "listeners": {"web": {"address": "127.0.0.1:0", "pool": "app"}},
            "pools": {"app": {"command": app("http-ws.js"), "workers": 1, "start_timeout": "1s"}},
        }, **passing([(given.fileno(), "stray.socket")]))
        front.wait_for(r"nobody serves 127\.0\.0\.1:\d+, which the service manager passed \(stray\.socket\)")
        assert get(front.address).status == 200


@pytest.mark.parametrize("kind,why", [
    ("connected", "it does not listen"),
    ("pipe", "it is not a socket"),
    ("seqpacket", "it is neither a stream nor a datagram socket"),
])
def test_sockets_of_no_use_end_the_start(limpet, app, kind, why):
    with contextlib.ExitStack() as stack:
        if kind == "pipe":
            ends = os.pipe()
            stack.callback(lambda: [os.close(end) for end in ends])
            fd = ends[0]
        else:
            pair = socket.socketpair(type=socket.SOCK_STREAM if kind == "connected" else socket.SOCK_SEQPACKET)
            fd = stack.enter_context(pair[0]).fileno()
            stack.enter_context(pair[1])
        front = limpet(app("http-ws.js"), listen="127.0.0.1:0", **passing([(fd, "odd")]))
        assert front.wait() == 2
        assert f"passed fd 3 (odd), which is of no use: {why}" in front.text()


def test_systemd_socket_activate(limpet, app):
    if not shutil.which("systemd-socket-activate"):
        pytest.skip("systemd-socket-activate is not installed")
    with listening() as probe:
        port = probe.getsockname()[1]
    front = limpet(app("http-ws.js"), listen=f"127.0.0.1:{port}", workers=1, launcher=[
        "systemd-socket-activate", "-l", f"127.0.0.1:{port}", "-E", "LIMPET_TEST_RUN", "-E", "PATH"])
    front.wait_for(f"Listening on 127.0.0.1:{port}")
    assert get(("127.0.0.1", port), timeout=30).status == 200
    front.wait_for(f"127.0.0.1:{port} was passed by the service manager")
