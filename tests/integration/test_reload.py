"""SIGHUP: the configuration is read again; what it keeps goes on."""
import os
import signal
import socket
import stat
import threading

import pytest

from harness.http import Connection, get
from harness.wait import wait_until


def config(app, workers=2, listeners=("web",), **pool):
    return {
        "listeners": {name: {"address": "127.0.0.1:0", "pool": "app"} for name in listeners},
        "pools": {"app": {"command": app("http-ws.js"), "workers": workers, **pool}},
    }


def reload(front, new=None, expected=r"reloaded"):
    begin = front.mark_log()
    if new is not None:
        front.write_config(new)
    front.send_signal(signal.SIGHUP)
    front.wait_for(expected, after=begin)


def addresses(front):
    return [address for address, _ in front.listening()]


def pid_of(front, address, source):
    return get(address, source=source).json()["pid"]


class Asking:
    """Clients that ask all the time, one after the other; `failed` says what went wrong."""

    def __init__(self, address):
        self.address = address
        self.pids = []
        self.failed = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self._stopping.is_set():
            for source in SOURCES:
                try:
                    response = get(self.address, source=source)
                    if response.status == 200:
                        self.pids.append(response.json()["pid"])
                    else:
                        self.failed.append(response.status)
                except OSError as error:
                    self.failed.append(repr(error))

    def wait_for_more(self):
        count = len(self.pids)
        wait_until(lambda: len(self.pids) > count + 100 or self.failed, "clients are served")

    def __enter__(self):
        self._thread.start()
        self.wait_for_more()
        return self

    def __exit__(self, *_):
        self.wait_for_more()
        self._stopping.set()
        self._thread.join(20)
        assert not self._thread.is_alive() and not self.failed, self.failed[:10]


SOURCES = [f"127.0.0.{number}" for number in range(1, 41)]


def test_the_same_file_changes_nothing_for_clients(limpet, app):
    front = limpet(config=config(app))
    front.wait_ready(2)
    before = {source: pid_of(front, front.address, source) for source in SOURCES}
    with Connection(front.address) as pinned:
        assert pinned.upgrade().status == 101
        for _ in range(3):
            router = front.router()
            reload(front)
            wait_until(lambda: front.pids("limpet-router") not in ([], [router]), "another router")
        assert pinned.say("still here")
    assert before == {source: pid_of(front, front.address, source) for source in SOURCES}


def test_more_workers_take_only_their_share(limpet, app):
    front = limpet(config=config(app, workers=2))
    slots = front.wait_ready(2)
    before = {source: pid_of(front, front.address, source) for source in SOURCES}
    reload(front, config(app, workers=3))
    new_pid = front.wait_ready(3)["2"]
    after = {source: pid_of(front, front.address, source) for source in SOURCES}
    moved = {source for source in SOURCES if before[source] != after[source]}
    assert moved and all(after[source] == new_pid for source in moved)
    assert set(slots.values()) <= set(after.values())


def test_a_worker_whose_slot_is_gone_keeps_its_connections(limpet, app):
    front = limpet(config=config(app, workers=2))
    slots = front.wait_ready(2)
    pinned = {}
    for source in SOURCES:
        connection = Connection(front.address, source)
        assert connection.upgrade().status == 101
        pinned.setdefault(connection.say("before")["slot"], connection)
    reload(front, config(app, workers=1))
    assert pinned["1"].say("after")["pid"] == slots["1"]
    assert {pid_of(front, front.address, source) for source in SOURCES} == {slots["0"]}
    for connection in pinned.values():
        connection.close()
    front.wait_for(rf"worker 1 \(pid {slots['1']}\) ended")


def test_another_command_replaces_workers_one_by_one(limpet, app):
    front = limpet(config=config(app, workers=2))
    slots = front.wait_ready(2)
    reload(front, config(app, workers=2, environment={"CHANGED": "1"}))
    front.wait_for("all workers are of the new generation")
    now = front.wait_ready(2)
    assert set(now) == set(slots) and not set(now.values()) & set(slots.values())
    for pid in slots.values():
        front.wait_for(rf"\(pid {pid}\) ended")


def test_listeners_come_and_go(limpet, app):
    front = limpet(config=config(app, listeners=["one", "two"]))
    front.wait_ready(2)
    front.wait_for("listening on", count=2)
    one, two = addresses(front)
    reload(front, config(app, listeners=["one", "three"]))
    front.wait_for("listening on", count=3)
    three = addresses(front)[2]
    assert get(one).status == get(three).status == 200
    with pytest.raises(OSError):
        get(two)


def test_a_unix_listener_has_the_mode_of_the_configuration(limpet, app, tmp_path):
    path, plain = tmp_path / "web.sock", tmp_path / "plain.sock"

    def with_mode(**mode):
        return {"listeners": {"web": {"address": f"unix:{path}", "sticky": {"header": "Host"}, **mode},
                              "plain": {"address": f"unix:{plain}"}},
                "pools": {"app": {"command": app("http-ws.js"), "workers": 1}}}

    before = os.umask(0o027)
    try:
        front = limpet(config=with_mode(mode="0622"))
    finally:
        os.umask(before)
    front.wait_ready(1)
    modes = lambda: [stat.S_IMODE(one.stat().st_mode) for one in (path, plain)]
    assert modes() == [0o622, 0o750]
    reload(front, with_mode(mode="0660"))
    assert modes() == [0o660, 0o750]
    reload(front, with_mode())
    assert modes() == [0o660, 0o750]
    assert get(str(path)).status == get(str(plain)).status == 200


@pytest.mark.parametrize("bad", ["{", '{"pools": {}}', '{"listeners": {"web": {"adress": "127.0.0.1:0"}}}'])
def test_a_bad_file_changes_nothing_and_is_explained(limpet, app, bad):
    front = limpet(config=config(app))
    front.wait_ready(2)
    router = front.router()
    front.config_file.write_text(bad, encoding="utf-8")
    begin = front.mark_log()
    front.send_signal(signal.SIGHUP)
    front.wait_for(r"reload: nothing was changed", after=begin)
    front.wait_for(rf"{front.config_file}:\d+:\d+: ", after=begin)
    assert front.router() == router
    assert get(front.address).status == 200


def test_an_address_that_is_taken_changes_nothing(limpet, app):
    front = limpet(config=config(app))
    front.wait_ready(2)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        new = config(app)
        new["listeners"]["more"] = {"address": f"127.0.0.1:{taken.getsockname()[1]}", "pool": "app"}
        reload(front, new, expected="reload: nothing was changed")
    assert get(front.address).status == 200


def test_limpetctl_reload_and_restart(limpet, app):
    front = limpet(config=config(app))
    slots = front.wait_ready(2)
    assert "reloaded" in front.ctl("reload")
    assert "rolling restart" in front.ctl("restart", "app")
    front.wait_for("all workers are of the new generation")
    assert not set(front.wait_ready(2).values()) & set(slots.values())
    refused = front.ctl("restart", "nothing", check=False)
    assert refused.returncode == 2 and "no pool of this name" in refused.stderr


def test_a_pool_that_loses_its_listener_opens_what_its_workers_ask_for(limpet, app):
    front = limpet(config=config(app, workers=2))
    slots = front.wait_ready(2)
    new = config(app, workers=2, listeners=())
    del new["listeners"]
    reload(front, new)
    front.wait_for("all workers are of the new generation")
    port = int(front.wait_for(r"listening on \[::\]:(\d+)").group(1))
    pids = {get(("127.0.0.1", port), source=source).json()["pid"] for source in SOURCES}
    assert len(pids) == 2 and not pids & set(slots.values())


def test_an_address_that_workers_opened_may_get_a_listener(limpet, app):
    """And lose it again: the same socket goes on."""
    without = {"pools": {"app": {"command": app("http-ws.js"), "workers": 2}}}
    front = limpet(config=without)
    slots = front.wait_ready(2)
    port = int(front.wait_for(r"listening on \[::\]:(\d+)").group(1))
    with_one = {"listeners": {"web": {"address": f"[::]:{port}", "pool": "app", "sticky": {"header": "Host"}}}, **without}
    with Asking(("127.0.0.1", port)) as clients:
        reload(front, with_one)
        reload(front)
        clients.wait_for_more()
        assert set(clients.pids) == set(slots.values())
        # The listener's settings count: everybody names the same host.
        wait_until(lambda: len({pid_of(front, ("127.0.0.1", port), source) for source in SOURCES}) == 1, "one worker")
        upgrade = front.mark_log()
        front.send_signal(signal.SIGUSR2)
        front.wait_for("takes over", after=upgrade)
        clients.wait_for_more()
        reload(front, without)
        front.wait_for("all workers are of the new generation")
    assert front.text().count("listening on") == 1


def test_of_another_pool_such_an_address_is_taken(limpet, app):
    front = limpet(config={"pools": {"app": {"command": app("http-ws.js"), "workers": 1}}})
    front.wait_ready(1)
    port = int(front.wait_for(r"listening on \[::\]:(\d+)").group(1))
    new = {"listeners": {"web": {"address": f"[::]:{port}", "pool": "other"}},
           "pools": {name: {"command": app("http-ws.js"), "workers": 1} for name in ("app", "other")}}
    reload(front, new, expected="reload: nothing was changed: Address already in use")
    assert get(("127.0.0.1", port)).status == 200


def test_another_protocol_replaces_workers_one_by_one(limpet, app):
    """Nobody has to wait, and nobody is refused."""
    pool = {"on_down": "reject", "environment": {"GRACEFUL": "1"}}  # protocol accept drains by SIGTERM
    front = limpet(config=config(app, protocol="node-cluster", **pool))
    pids = set(front.wait_ready(2).values())
    with Asking(front.address) as clients:
        for protocol in ("accept", "node-cluster"):
            begin = front.mark_log()
            reload(front, config(app, protocol=protocol, **pool))
            front.wait_for("all workers are of the new generation", after=begin)
            new = set(front.wait_ready(2).values())
            assert not new & pids
            pids = new
        clients.wait_for_more()
    assert set(clients.pids[-20:]) <= pids


def test_workers_stay_that_those_of_another_protocol_cannot_replace(limpet, app):
    front = limpet(config=config(app, on_down="reject"))
    slots = front.wait_ready(2)
    with Asking(front.address) as clients:
        reload(front, config(app, on_down="reject", protocol="limpet", start_timeout="1s"))
        front.wait_for("the rolling restart is over")
        clients.wait_for_more()
    assert set(clients.pids) == set(slots.values())
    assert front.wait_ready(2) == slots
