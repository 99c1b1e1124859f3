"""What the router and the workers may do: as the kernel says, and as limpetctl says."""
import contextlib
import json
import os
import pathlib
import pwd
import signal

import pytest

from harness.http import Connection
from harness.wait import wait_until

AS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not AS_ROOT, reason="needs root, to become somebody else")


def of_process(pid, name="status"):
    """{key: value} of /proc/PID/status."""
    lines = pathlib.Path("/proc", str(pid), name).read_text().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def limits(pid):
    """{name: soft limit}."""
    lines = pathlib.Path("/proc", str(pid), "limits").read_text().splitlines()[1:]
    return {line[:26].strip(): line[26:47].strip() for line in lines}


def sandbox(front):
    return json.loads(front.ctl("-j", "status"))["sandbox"]


def served(front):
    with Connection(front.address) as client:
        return client.get("/").status == 200


def check_router(front, uid):
    pid = front.router()
    wait_until(lambda: sandbox(front)["pid"] == pid and sandbox(front), "the router's own report")
    state, said = of_process(pid), sandbox(front)
    assert state["Uid"].split() == [str(uid)] * 4 and said["uid"] == uid
    assert int(state["CapEff"], 16) == int(state["CapPrm"], 16) == int(state["CapInh"], 16) == 0
    assert int(state["CapAmb"], 16) == 0 and said["capabilities"] == "none"
    assert state["NoNewPrivs"].strip() == "1" and said["no_new_privs"]
    assert (state["Seccomp"].strip() == "2") == said["seccomp"]
    assert limits(pid)["Max core file size"] == "0"
    for part in ("landlock", "empty_root", "seccomp"):
        assert bool(said[part]) != (part in said["missing"])
    if AS_ROOT:
        assert state["Groups"].split() == [] and int(state["CapBnd"], 16) == 0
    if said["empty_root"]:
        assert os.listdir(f"/proc/{pid}/root/") == []
    return pid


def test_the_router_has_given_up_what_it_can(limpet, app):
    front = limpet(app("http-ws.js"), listen="127.0.0.1:0", workers=2)
    front.wait_ready(2)
    uid = 65534 if AS_ROOT else os.geteuid()
    first = check_router(front, uid)
    assert served(front)
    front.send_signal(signal.SIGHUP)
    front.wait_for("reloaded")
    wait_until(lambda: front.pids("limpet-router") not in ([], [first]) and len(front.pids("limpet-router")) == 1,
               "another router alone")
    second = check_router(front, uid)
    assert second != first and served(front)
    os.kill(second, signal.SIGKILL)
    wait_until(lambda: front.pids("limpet-router") not in ([], [second]), "a third router")
    assert check_router(front, uid) != second and served(front)
    # At most once, however many routers there were.
    assert front.text().count("sandbox: the router can reach files") <= 1


def test_limpetctl_says_what_is_in_force(limpet, app):
    front = limpet(app("http-ws.js"), listen="127.0.0.1:0", workers=1)
    front.wait_ready(1)
    line = next(line for line in front.ctl("-v", "status").splitlines() if line.startswith("router "))
    assert "capabilities none, no_new_privs" in line
    assert pwd.getpwuid(sandbox(front)["uid"]).pw_name in line
    assert ("no seccomp filter" in line) == ("seccomp" in sandbox(front)["missing"])
    assert "router " not in front.ctl("status").split("\n", 1)[1]


@needs_root
def test_the_router_runs_as_the_user_of_the_configuration(limpet, app):
    front = limpet(config={"user": "daemon", "listeners": {"web": {"address": "127.0.0.1:0"}},
                           "pools": {"p": {"command": app("http-ws.js"), "workers": 1}}})
    front.wait_ready(1)
    check_router(front, pwd.getpwnam("daemon").pw_uid)
    assert served(front)


@needs_root
def test_limpet_of_an_ordinary_user(limpet, app, tmp_path):
    tmp_path.chmod(0o777)
    with contextlib.ExitStack() as undo:
        for parent in (p for p in tmp_path.parents if p.owner() == "root" and p != pathlib.Path("/")):
            mode = parent.stat().st_mode
            parent.chmod(mode | 0o111)
            undo.callback(parent.chmod, mode)
        # The worker too: it is not node, whose files another user may be unable to read.
        front = limpet(["/bin/sleep", "1000"], listen="127.0.0.1:0", workers=1, protocol="limpet",
                       launcher=["setpriv", "--reuid", "1234", "--regid", "1234", "--clear-groups", "--"])
        front.wait_for("worker 0 .* started")
        pid = wait_until(lambda: [p for p in front.pids() if of_process(p)["Name"].strip() == "limpet-router"],
                         "a router")[0]
        state = of_process(pid)
        assert state["Uid"].split() == ["1234"] * 4 and state["NoNewPrivs"].strip() == "1"
        said = wait_until(lambda: (s := sandbox(front))["pid"] == pid and s, "the router's own report")
        assert said["uid"] == 1234 and not said["empty_root"]
        assert said["missing"]["empty_root"] == "limpet has no right to it" or "sanitizers" in said["missing"]["empty_root"]
        assert front.stop() == 0


@needs_root
def test_a_container_whose_only_user_is_root(limpet, app):
    """It cannot change users: that is said, and everything else is in force."""
    front = limpet(app("http-ws.js"), listen="127.0.0.1:0", workers=1, launcher=["unshare", "--user", "--map-root-user"])
    with contextlib.suppress(AssertionError):
        front.wait_for("unshare: |worker 0 .* started")
    if "unshare: " in front.text():
        pytest.skip("no user namespaces here")
    front.wait_ready(1)
    front.wait_for("warning: sandbox: the router runs as root")
    assert served(front)
    assert sandbox(front)["capabilities"] == "none" and sandbox(front)["no_new_privs"]


@needs_root
def test_a_user_that_cannot_be_had_is_an_error(limpet, app):
    front = limpet(config={"user": "daemon", "pools": {"p": {"command": app("http-ws.js"), "workers": 1}}},
                   launcher=["unshare", "--user", "--map-root-user"])
    with contextlib.suppress(AssertionError):
        front.wait_for("unshare: |worker 0 .* started")
    if "unshare: " in front.text():
        pytest.skip("no user namespaces here")
    front.wait_for("error: cannot become user daemon")


@needs_root
def test_workers_have_their_users_masks_and_limits(limpet):
    sleeper = {"command": ["/bin/sleep", "1000"], "protocol": "limpet", "workers": 1}
    front = limpet(
        config={"listeners": {name: {"address": "127.0.0.1:0", "pool": name} for name in ("plain", "bound")},
                "pools": {"plain": sleeper,
                          "bound": {**sleeper, "user": "nobody", "group": "daemon", "umask": "0027", "limits": {
                              "nofile": 77, "processes": 55, "memory": "131072g", "core": "unlimited"}}}},
        launcher=["prlimit", "--nofile=500:9000", "--core=0:unlimited"])
    workers = {pool: int(front.wait_for(rf"pool {pool}: worker 0 \(pid (\d+)\) started")[1]) for pool in ("plain", "bound")}
    # So much memory because a limpet with sanitizers needs that itself.
    state, limit = of_process(workers["bound"]), limits(workers["bound"])
    assert state["Uid"].split() == ["65534"] * 4 and state["Gid"].split() == ["1"] * 4
    assert "0" not in state["Groups"].split()
    assert state["Umask"].strip() == "0027"
    assert (limit["Max open files"], limit["Max processes"]) == ("77", "55")
    assert (limit["Max address space"], limit["Max core file size"]) == (str(1 << 47), "unlimited")
    # What limpet was started with, though it has raised its own.
    state, limit = of_process(workers["plain"]), limits(workers["plain"])
    assert state["Uid"].split() == ["0"] * 4
    assert (limit["Max open files"], limit["Max core file size"]) == ("500", "0")
    assert limits(front.process.pid)["Max open files"] == limits(front.router())["Max open files"] == "9000"
    # They are like that again behind a reload that changes them.
    front.write_config({**json.loads(front.config_file.read_text()), "pools": {
        "plain": {**sleeper, "umask": "0077"}, "bound": sleeper}})
    mark = front.mark_log()
    front.send_signal(signal.SIGHUP)
    front.wait_for("reloaded", after=mark)
    pid = int(front.wait_for(r"pool plain: worker 0 \(pid (\d+)\) started", after=mark)[1])
    assert of_process(pid)["Umask"].strip() == "0077"


def test_limits_that_cannot_be_set_are_named(limpet):
    front = limpet(config={"listeners": {"web": {"address": "127.0.0.1:0"}}, "pools": {"p": {
        "command": ["/bin/sleep", "1000"], "protocol": "limpet", "workers": 1, "limits": {"nofile": 1 << 30}}}})
    front.wait_for(r"worker 0: cannot set its limits \(/bin/sleep\): Operation not permitted")
