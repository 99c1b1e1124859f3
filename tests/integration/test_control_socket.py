"""Who may use the control socket, and what it does with requests that are none."""
import grp
import json
import os
import signal
import socket
import stat
import subprocess

import pytest

from harness import paths
from harness.wait import wait_until

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
STATUS = b'{"command":"status"}\n'
CLIENT = """
import socket, sys
client = socket.socket(socket.AF_UNIX)
client.settimeout(10)
client.connect(sys.argv[1])
try:
    client.sendall(b'{"command":"status"}\\n')
    print(len(client.recv(100)))
except OSError as error:
    print(0)
"""


@pytest.fixture
def front(limpet):
    def start(**config):
        front = limpet(config={**config, "listeners": {"web": {"address": "127.0.0.1:0"}}, "pools": {
            "p": {"command": ["/bin/sleep", "1000"], "protocol": "limpet", "workers": 1}}})
        front.wait_for("worker 0 .* started")
        return front
    return start


def ask(path, data, end=True):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        client.sendall(data)
        if end:
            client.shutdown(socket.SHUT_WR)
        answer = b""
        while more := client.recv(65536):
            answer += more
    return json.loads(answer)


def ask_as(path, user, groups=()):
    """What somebody else gets: True, an answer; False, none; or the error of connect()."""
    done = subprocess.run(["/usr/bin/python3", "-c", CLIENT, str(path)], capture_output=True, text=True, timeout=30,
                          check=False, user=user, group=user, extra_groups=groups)
    if done.returncode != 0:
        return done.stderr.strip().splitlines()[-1].split(":")[0]
    return int(done.stdout) > 0


def open_way(path):
    """Lets everybody pass through the directories above, so that only the socket itself says no."""
    for parent in path.parents:
        if parent.stat().st_mode & 0o011 != 0o011:
            parent.chmod(parent.stat().st_mode | 0o011)


def refused(front):
    return json.loads(front.ctl("-j", "status"))["counters"]["control_refused"]


@needs_root
def test_for_root_and_the_own_user_only(front):
    front = front()
    assert stat.S_IMODE(front.control.stat().st_mode) == 0o600
    open_way(front.control)
    assert ask(front.control, STATUS)["state"] == "running"
    assert ask_as(front.control, 0) is True
    assert ask_as(front.control, 65534, [0]) == "PermissionError"
    assert refused(front) == 0
    # Even if somebody opens the file to all.
    front.control.chmod(0o666)
    assert ask_as(front.control, 65534) is False
    front.wait_for(r"control socket: user 65534 \(pid \d+\) may not use it and was refused")
    assert refused(front) == 1


@needs_root
def test_for_a_group(front):
    front = front(control_mode="0660")
    assert stat.S_IMODE(front.control.stat().st_mode) == 0o660
    open_way(front.control)
    group = front.control.stat().st_gid
    assert ask_as(front.control, 65534, [group]) is True
    assert ask_as(front.control, 65534) == "PermissionError"
    front.control.chmod(0o666)
    assert ask_as(front.control, 65534) is False
    assert ask_as(front.control, 65534, [5, group]) is True


@needs_root
def test_for_a_group_of_the_configuration(front):
    front = front(control_mode="0660", control_group="daemon")
    daemon = grp.getgrnam("daemon").gr_gid
    assert front.control.stat().st_gid == daemon
    open_way(front.control)
    assert ask_as(front.control, 65534, [daemon]) is True
    assert ask_as(front.control, 65534, [daemon + 1]) == "PermissionError"
    # The next binary's configuration counts.
    config = json.loads(front.config_file.read_text())
    front.write_config({**config, "control_group": "games"})
    front.send_signal(signal.SIGUSR2)
    games = grp.getgrnam("games").gr_gid
    wait_until(lambda: front.control.stat().st_gid == games, "another group")
    assert wait_until(lambda: ask_as(front.control, 65534, [games]) is True, "an answer")
    assert ask_as(front.control, 65534, [daemon]) == "PermissionError"


def test_a_group_that_cannot_be_given_ends_the_start(limpet, tmp_path):
    """Not a socket that nobody can use."""
    if os.geteuid() == 0:
        launcher = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        for parent in [tmp_path, *tmp_path.parents]:
            if parent.stat().st_mode & 0o011 != 0o011:
                parent.chmod(parent.stat().st_mode | 0o011)
        tmp_path.chmod(0o777)
    else:
        launcher = []
    front = limpet(config={"control_mode": "0660", "control_group": "root", "listeners": {"web": {"address": "127.0.0.1:0"}},
                           "pools": {"p": {"command": ["/bin/sleep", "1000"], "protocol": "limpet"}}}, launcher=launcher)
    assert front.wait() == 2
    assert "control socket" in front.text() and "Operation not permitted" in front.text()


@needs_root
def test_an_abstract_address_has_no_mode(limpet, tmp_path):
    name = f"limpet-test-{os.getpid()}"
    front = limpet(["/bin/sleep", "1000"], listen="127.0.0.1:0", workers=1, protocol="limpet",
                   control=f"unix:@{name}")
    front.wait_for("worker 0 .* started")
    assert ask("\0" + name, STATUS)["state"] == "running"
    script = CLIENT.replace("sys.argv[1]", repr("\0" + name))
    done = subprocess.run(["/usr/bin/python3", "-c", script], capture_output=True, text=True, timeout=30, check=True,
                          user=65534, group=65534, extra_groups=[0])
    assert done.stdout == "0\n"
    front.wait_for("control socket: user 65534")


@pytest.mark.parametrize("data", [b"", b"\n", b"{", b"[]", b'"status"', b"{}\n", b'{"command":7}', b"\xff\xfe\0",
                                  b"x" * 4096, b"{" * 4096, b'{"command":"status","command":"stop"}'])
def test_what_is_no_request_is_told_so(front, data):
    front = front()
    assert ask(front.control, data)["error"].startswith("not a request")
    assert ask(front.control, b'{"command":"frobnicate"}')["error"].startswith("unknown command")
    assert ask(front.control, STATUS)["state"] == "running"


def test_too_long_a_request_is_answered_without_waiting_for_its_end(front):
    front = front()
    assert ask(front.control, b" " * 4096, end=False)["error"].startswith("not a request")


def test_many_that_say_nothing_give_way(front):
    front = front()
    silent = []
    for _ in range(40):
        silent.append(socket.socket(socket.AF_UNIX))
        silent[-1].connect(str(front.control))
    for client in silent:
        client.close()
    wait_until(lambda: front.ctl("status", check=False).returncode == 0, "an answer")
    assert front.open_files(front.process.pid) < 60


def test_a_file_in_the_place_of_the_socket_is_left_alone(limpet, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("data")
    front = limpet(["/bin/sleep", "1000"], listen="127.0.0.1:0", workers=1, protocol="limpet",
                   control=precious)
    assert front.wait() == 2
    assert precious.read_text() == "data"
    assert f"control socket {precious}: " in front.text()


def test_a_socket_that_nobody_answers_is_replaced(limpet, tmp_path):
    stale = tmp_path / "stale.sock"
    with socket.socket(socket.AF_UNIX) as former:
        former.bind(str(stale))
    front = limpet(["/bin/sleep", "1000"], listen="127.0.0.1:0", workers=1, protocol="limpet",
                   control=stale)
    front.wait_for("worker 0 .* started")
    assert ask(stale, STATUS)["state"] == "running"


@pytest.mark.parametrize("path", ["control.sock", "./control.sock", "8080"])
def test_a_path_that_is_not_absolute_is_refused_by_both_in_the_same_words(tmp_path, path):
    for command, name, status in (([paths.limpet(), "-l", "127.0.0.1:0", "--control", path, "--", "/bin/sleep", "1000"], "--control", 1),
                                  ([paths.limpetctl(), "-S", path, "status"], path, 2)):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == status
        assert f'{name}: must be an absolute path, or "@" and a name' in done.stderr


def test_a_word_that_is_no_command_is_named():
    done = subprocess.run([paths.limpetctl(), "statsu"], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1 and '"statsu" is no command' in done.stderr
