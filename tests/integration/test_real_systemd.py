"""The systemd units that are installed, under a systemd."""
import json
import os
import signal
import socket
import threading

import pytest

from harness import paths
from harness.http import Connection, get
from harness.systemd import Systemd, Unavailable
from harness.wait import wait_until

SERVICE = "limpet.service"


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def systemd(tmp_path, app, port):
    """Boots one with limpet's units, changed only in where things are."""
    config = tmp_path / "limpet.json"
    config.write_text(json.dumps({
        "control": "/run/limpet/control.sock",
        "listeners": {"web": {"address": f"127.0.0.1:{port}", "pool": "app"}},
        "pools": {"app": {"command": app("http-ws.js"), "workers": 2}},
    }))
    service = (paths.build() / "config" / SERVICE).read_text()
    exec_start = next(line for line in service.splitlines() if line.startswith("ExecStart="))
    unit_socket = (paths.ROOT / "config" / "limpet.socket").read_text().replace("0.0.0.0:80\n", f"127.0.0.1:{port}\n")
    alone = "[Unit]\nDefaultDependencies=no\n"
    try:
        running = Systemd(tmp_path, {
            SERVICE: service.replace(exec_start, f"ExecStart={paths.limpet()} -c {config}"),
            f"{SERVICE}.d/test.conf": alone,
            "limpet.socket": unit_socket.replace("ListenStream=0.0.0.0:443\n", ""),
            "limpet.socket.d/test.conf": alone,
        })
        with running:
            yield running
            print(running.text())
    except Unavailable as why:
        pytest.skip(str(why))


class Clients(threading.Thread):
    """One after another, each with a connection of its own, while something happens."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.address = address
        self.served = 0
        self.refused = []
        self.cut = []
        self._end = threading.Event()

    def run(self):
        while not self._end.is_set():
            try:
                connection = Connection(self.address, timeout=20)
            except OSError as error:
                self.refused.append(error)
                continue
            with connection:
                try:
                    assert connection.get().status == 200
                    self.served += 1
                except (OSError, ValueError) as error:
                    self.cut.append(error)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self.join(30)


def test_a_life_of_the_service(systemd, port):
    address = ("127.0.0.1", port)
    systemd.ctl("start", SERVICE)
    # It came back when a worker was ready, so nobody is made to wait.
    assert get(address).status == 200
    assert systemd.show(SERVICE, "ActiveState") == "active"
    wait_until(lambda: systemd.show(SERVICE, "StatusText") == "2 of 2 workers ready in 1 pool", "its status")
    assert systemd.show(SERVICE, "NFileDescriptorStore") == "1"
    assert "running" in systemd.run(paths.limpetctl(), "status").stdout

    pid = systemd.main_pid(SERVICE)
    systemd.ctl("reload", SERVICE)
    assert systemd.main_pid(SERVICE) == pid

    with Clients(address) as clients:
        wait_until(lambda: clients.served > 10, "clients served")
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: systemd.show(SERVICE, "NRestarts") == "1", "a restart")
        wait_until(lambda: systemd.show(SERVICE, "ActiveState") == "active", "limpet ready")
        before = clients.served
        wait_until(lambda: clients.served > before + 10, "clients served by the next limpet")
    assert not clients.refused
    # The one whose worker died with the supervisor, at most.
    assert len(clients.cut) <= 1
    assert systemd.main_pid(SERVICE) not in (pid, None)
    assert systemd.show(SERVICE, "NFileDescriptorStore") == "1"

    systemd.ctl("stop", SERVICE)
    assert systemd.show(SERVICE, "Result") == "success"
    with pytest.raises(ConnectionRefusedError):
        Connection(address)


def test_a_socket_unit_keeps_the_port_open_over_a_restart(systemd, port):
    address = ("127.0.0.1", port)
    systemd.ctl("start", "limpet.socket")
    with Clients(address) as clients:  # the first one starts limpet
        wait_until(lambda: clients.served > 10, "clients served", 30)
        systemd.ctl("restart", SERVICE)
        before = clients.served
        wait_until(lambda: clients.served > before + 10, "clients served by the next limpet")
    assert not clients.refused
    assert not clients.cut
    assert systemd.show(SERVICE, "NFileDescriptorStore") == "0"


def test_a_bad_configuration_is_not_tried_again(systemd, tmp_path):
    (tmp_path / "limpet.json").write_text("{")
    assert systemd.ctl("start", SERVICE, check=False).returncode != 0
    assert systemd.show(SERVICE, "ExecMainStatus") == "1"
    assert systemd.show(SERVICE, "NRestarts") == "0"
