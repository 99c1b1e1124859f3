"""SIGUSR2: the binary on disk takes over, with the same pid and the same workers."""
import os
import shutil
import signal

import pytest

from harness import paths
from harness.http import Connection, get
from harness.wait import wait_until


@pytest.fixture
def binary(tmp_path, monkeypatch):
    """A copy of limpet that the test may replace."""
    copy = tmp_path / "limpet"
    shutil.copy2(paths.limpet(), copy)
    monkeypatch.setenv("LIMPETCTL_BINARY", str(paths.limpetctl()))
    monkeypatch.setenv("LIMPET_BINARY", str(copy))
    return copy


def replace(binary, text=None, mode=0o755):
    """As a package manager does: a new file under the old name."""
    new = binary.with_suffix(".new")
    if text is None:
        shutil.copy2(paths.build() / "src" / "limpet", new)
    else:
        new.write_text(text, encoding="utf-8")
    new.chmod(mode)
    os.replace(new, binary)


def upgrade(front, expected):
    begin = front.mark_log()
    front.send_signal(signal.SIGUSR2)
    front.wait_for(expected, after=begin)


def test_same_pid_same_workers_same_connections(limpet, app, binary):
    front = limpet(app("http-ws.js"), listen="127.0.0.1:0", workers=2)
    slots = front.wait_ready(2)
    home = get(front.address).json()
    with Connection(front.address) as pinned:
        assert pinned.upgrade().status == 101
        for _ in range(3):
            replace(binary)
            router = front.router()
            upgrade(front, "takes over")
            wait_until(lambda: front.pids("limpet-router") not in ([], [router]), "another router")
            assert get(front.address).json()["pid"] == home["pid"]
        assert pinned.say("still here")["pid"] == home["pid"]
    assert front.process.poll() is None
    status = front.status()
    assert status["pid"] == front.process.pid
    assert {slot["slot"]: slot["pid"] for slot in status["pools"]["default"]["slots"]} == slots
    assert status["counters"]["accepted"] == status["counters"]["acknowledged"] == 5
    os.kill(home["pid"], signal.SIGKILL)
    front.wait_replaced(home["slot"], home["pid"])
    assert get(front.address).json()["slot"] == home["slot"]


def test_addresses_that_workers_asked_for_stay_open(limpet, app, binary):
    front = limpet(app("several-servers.js"), workers=2, env={"NAMES": "first,second"})
    front.wait_ready(2)
    addresses = [address for address, _ in front.listening() if not isinstance(address, str)]
    upgrade(front, "takes over")
    for address in addresses:
        assert get((address[0].replace("::", "::1") if address[0] == "::" else address[0], address[1])).status == 200


@pytest.mark.parametrize("text, mode", [
    ("not a program", 0o755),
    ("#!/bin/sh\nexit 0\n", 0o755),
    ("#!/bin/sh\necho no >&2; exit 1\n", 0o755),
    ("#!/bin/sh\nexit 0\n", 0o644),
])
def test_a_bad_binary_changes_nothing(limpet, app, binary, text, mode):
    front = limpet(app("http-ws.js"), listen="127.0.0.1:0", workers=2)
    slots = front.wait_ready(2)
    router = front.router()
    replace(binary, text, mode)
    upgrade(front, "upgrade: nothing was changed: .* cannot take over")
    assert front.router() == router
    assert get(front.address).json()["pid"] in slots.values()
    replace(binary)
    upgrade(front, "takes over")
    assert get(front.address).json()["pid"] in slots.values()


def test_a_configuration_that_has_become_bad_changes_nothing(limpet, app, binary):
    front = limpet(config={"listeners": {"web": {"address": "127.0.0.1:0"}},
                           "pools": {"app": {"command": app("http-ws.js"), "workers": 2}}})
    front.wait_ready(2)
    front.config_file.write_text("{", encoding="utf-8")
    upgrade(front, "upgrade: nothing was changed")
    assert get(front.address).status == 200


def test_workers_of_other_settings_are_replaced_as_by_a_reload(limpet, app):
    config = {"listeners": {name: {"address": "127.0.0.1:0", "pool": name} for name in ("changed", "same")},
              "pools": {name: {"command": app("http-ws.js"), "workers": 2} for name in ("changed", "same")}}
    front = limpet(config=config)
    front.wait_for(r"worker . \(pid \d+\) ready", count=4)
    before = {(ready.pool, ready.slot): ready.pid for ready in front.ready()}
    upgrade(front, "takes over")
    config["pools"]["changed"]["environment"] = {"CHANGED": "1"}
    front.write_config(config)
    upgrade(front, "pool changed: all workers are of the new generation")
    after = {(ready.pool, ready.slot): ready.pid for ready in front.ready()}
    assert {pool for (pool, slot), pid in after.items() if pid != before[pool, slot]} == {"changed"}
    assert not set(after[key] for key in after if key[0] == "changed") & set(before.values())
    config["pools"]["same"]["protocol"] = "accept"
    front.write_config(config)
    upgrade(front, "pool same: all workers are of the new generation")
    last = {(ready.pool, ready.slot): ready.pid for ready in front.ready()}
    assert {pool for (pool, slot), pid in last.items() if pid != after[pool, slot]} == {"same"}
    upgrade(front, "takes over")
    assert all(pool["outdated"] == 0 for pool in front.status()["pools"].values())


def test_the_version_of_the_state_is_asked_for(limpet):
    import subprocess
    for version, status in (("2", 0), ("1", 1), ("99", 1), ("x", 1)):
        done = subprocess.run([paths.limpet(), "--can-resume", version, "-t", "--", "node", "server.js"],
                              capture_output=True, text=True, check=False)
        assert (done.returncode == 0) == (status == 0), done
        assert ("limpet: can resume" in done.stdout) == (status == 0)
