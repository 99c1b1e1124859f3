"""The Node.js module (src/worker/node): processes that limpet did not start join by themselves."""
import json
import os
import shutil
import signal
import subprocess

import pytest

from harness import documents, paths
from harness.http import Connection, get
from harness.wait import wait_until

MODULE = paths.ROOT / "src" / "worker" / "node"
LAUNCHER = paths.limpet().with_name("limpet-join")

pytestmark = pytest.mark.skipif(not LAUNCHER.exists(), reason="limpet-join was not built")


def clean_environment(**more):
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("LIMPET_", "NODE_"))}
    return {**clean, "MODULE": str(MODULE / "worker.js"), "LIMPET_JOIN": str(LAUNCHER), **more}


class Workers:
    def __init__(self, directory):
        self.directory = directory
        self.processes = []

    def start(self, slot=None, node="node", program=paths.APPS / "joins.js", **environment):
        environment = clean_environment(LIMPET_SOCKET=str(self.directory / "join"), **environment)
        if slot is not None:
            environment["LIMPET_SLOT"] = slot
        process = subprocess.Popen([node, program], env=environment, stdout=subprocess.PIPE,
                                   stdin=subprocess.DEVNULL, text=True)
        self.processes.append(process)
        return process

    def end(self):
        for process in self.processes:
            process.kill()
            process.wait(10)
            process.stdout.close()


@pytest.fixture
def workers(tmp_path):
    started = Workers(tmp_path)
    yield started
    started.end()


def pool_for(directory, slots=3):
    (directory / "secret").write_bytes(bytes(range(32)))
    return {"hash_secret": str(directory / "secret"),
            "listeners": {"web": {"address": "127.0.0.1:0", "sticky": {"cookie": "sid"}}},
            "pools": {"app": {"workers": 0, "slots": slots, "socket": str(directory / "join"), "hold": "20s"}}}


def start(limpet, directory, slots=3):
    front = limpet(config=pool_for(directory, slots))
    front.wait_for("listening")
    return front


def slots_of(front):
    return front.status()["pools"]["app"]["slots"]


def ready(front, count):
    wait_until(lambda: sum(slot["state"] == "ready" for slot in slots_of(front)) == count, f"{count} workers", 30)


def homes_of(front, keys=24):
    return {key: tuple(get(front.address, cookie=f"sid={key}").json().values()) for key in range(keys)}


def test_http_and_websockets_reach_the_worker_of_their_cookie(limpet, workers, tmp_path):
    front = start(limpet, tmp_path, 4)
    processes = [workers.start() for _ in range(4)]
    ready(front, 4)
    homes = homes_of(front)
    assert {pid for pid, _ in homes.values()} == {process.pid for process in processes}
    assert {slot for _, slot in homes.values()} == {"0", "1", "2", "3"}
    for key, (pid, slot) in homes.items():
        with Connection(front.address) as connection:
            assert connection.upgrade(cookie=f"sid={key}").status == 101
            assert connection.say("hello") == {"pid": pid, "slot": slot, "said": "hello"}
    wait_until(lambda: slots_of(front)[0].get("values") == {"rooms": 12}, "its numbers")
    assert front.status()["counters"]["worker_messages_skipped"] == 0

    # One is killed, another takes its slot, and its clients come back.
    gone, slot = homes[0]
    next(process for process in processes if process.pid == gone).kill()
    wait_until(lambda: sum(each["state"] == "ready" for each in slots_of(front)) == 3, "its slot is free")
    new = workers.start(slot)
    ready(front, 4)
    assert homes_of(front) == {key: (new.pid, slot) if home[0] == gone else home for key, home in homes.items()}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_next_limpet(limpet, workers, tmp_path, number):
    front = start(limpet, tmp_path)
    for slot in (None, None, "2"):
        workers.start(slot)
    ready(front, 3)
    homes = homes_of(front)
    with Connection(front.address) as socket:
        assert socket.upgrade(cookie="sid=1").status == 101
        os.kill(front.process.pid, number)
        front.wait()
        front = start(limpet, tmp_path)
        ready(front, 3)
        assert homes_of(front) == homes
        assert socket.say("still here")["pid"] == homes[1][0]


def test_a_launcher_that_dies_is_started_again(limpet, workers, tmp_path):
    """limpet needs it no more; the next limpet does."""
    front = start(limpet, tmp_path, 1)
    process = workers.start("0")
    ready(front, 1)
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True).stdout.split()
    os.kill(int(children[0]), signal.SIGKILL)
    with Connection(front.address) as socket:
        assert socket.upgrade().status == 101
        os.kill(front.process.pid, signal.SIGKILL)
        front.wait()
        front = start(limpet, tmp_path, 1)
        ready(front, 1)
        assert get(front.address).json()["pid"] == process.pid
        assert socket.say("still here")["pid"] == process.pid


def test_drain(limpet, workers, tmp_path):
    front = start(limpet, tmp_path, 1)
    process = workers.start()
    ready(front, 1)
    with Connection(front.address) as socket, Connection(front.address) as kept:
        assert socket.upgrade().status == 101
        assert kept.get().status == 200
        front.ctl("restart")
        assert process.stdout.readline() == "drain\n"
        assert kept.get().headers["connection"] == "close"
        assert kept.ended()
        assert socket.say("still here")["pid"] == process.pid
        other = workers.start()
        ready(front, 1)
        assert get(front.address).json()["pid"] == other.pid
        assert process.poll() is None
    assert process.wait(20) == 0


def test_close(limpet, workers, tmp_path):
    front = start(limpet, tmp_path, 1)
    process = workers.start()
    ready(front, 1)
    process.send_signal(signal.SIGUSR2)
    assert process.stdout.readline() == "drain\n"
    ready(front, 0)


def test_without_a_server(limpet, workers, tmp_path):
    front = start(limpet, tmp_path, 1)
    process = workers.start(MODE="socket")
    ready(front, 1)
    with Connection(front.address) as connection:
        connection.send(b"GET / HTTP/1.1\r\nCookie: sid=7\r\n\r\n")
        said = json.loads(connection.read_until(b"\n"))
        client = "{}:{}".format(*connection.socket.getsockname())
        assert said == {"pid": process.pid, "slot": "0", "listener": "web", "client": client, "key": "cookie"}
        assert connection.read_until(b"\r\n\r\n").startswith(b"GET /")


@pytest.mark.parametrize("version", [18, 22, 24, 26])
def test_versions_of_node(limpet, workers, tmp_path, version):
    node = paths.MODULES / f"node{version}" / "bin" / "node"
    if not node.exists():
        pytest.skip(f"Node.js {version} is not installed")
    front = start(limpet, tmp_path, 1)
    process = workers.start(node=str(node))
    ready(front, 1)
    assert get(front.address).json()["pid"] == process.pid
    front.ctl("restart")
    assert process.wait(20) == 0


def test_the_example_of_the_manual(limpet, workers, tmp_path):
    front = start(limpet, tmp_path, 1)
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "limpet").symlink_to(MODULE)
    (tmp_path / "worker.js").write_text(documents.literal("limpet-worker.7", "const { join }"), encoding="utf-8")
    process = workers.start(program=tmp_path / "worker.js")
    assert process.stdout.readline() == "limpet sends connections for slot 0\n"
    ready(front, 1)
    assert get(front.address).body == b"slot 0\n"
    process.terminate()
    assert process.stdout.readline() == "limpet sends no more\n"
    assert process.wait(20) == 0


def test_one_that_comes_before_limpet(limpet, workers, tmp_path):
    process = workers.start()
    front = start(limpet, tmp_path, 1)
    ready(front, 1)
    assert get(front.address).json()["pid"] == process.pid


# ---- misuse ----

MISUSES = {
    "nowhere": ({}, "set LIMPET_SOCKET"),
    "started by limpet": ({"LIMPET_GENERATION": "1", "LIMPET_SOCKET": "/x"}, "leave out join()"),
    "protocol limpet": ({"LIMPET_FD": "3"}, 'leave "protocol"'),
    "cluster worker": ({"NODE_UNIQUE_ID": "1", "LIMPET_SOCKET": "/x"}, "worker of node:cluster"),
    "no launcher": ({"LIMPET_SOCKET": "/x", "LIMPET_JOIN": "/nonexistent/limpet-join"}, "set LIMPET_JOIN"),
}


@pytest.mark.parametrize("misuse", MISUSES)
def test_misuse_is_explained(misuse):
    given, said = MISUSES[misuse]
    done = subprocess.run(["node", "-e", "require(process.env.MODULE).join({}, require('http').createServer())"],
                          env=clean_environment(**given), capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert said in done.stderr, done.stderr


def test_a_refusal_is_an_error(limpet, workers, tmp_path):
    start(limpet, tmp_path, 1)
    done = subprocess.run(["node", paths.APPS / "joins.js"], capture_output=True, text=True, timeout=30, check=False,
                          env=clean_environment(LIMPET_SOCKET=str(tmp_path / "join"), LIMPET_SLOT="9"))
    assert done.returncode == 1
    assert "ERR_LIMPET_JOIN" in done.stderr and "there is no slot 9" in done.stderr


# ---- the package itself ----

@pytest.mark.skipif(not shutil.which("npm"), reason="npm is not installed")
def test_npm_installs_it(tmp_path):
    packed = subprocess.run(["npm", "pack", "--silent", MODULE], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    (tmp_path / "package.json").write_text("{}")
    subprocess.run(["npm", "install", "--offline", "--silent", "--no-audit", "--no-fund", tmp_path / packed.strip()], cwd=tmp_path,
                   check=True, capture_output=True)
    files = {path.name for path in (tmp_path / "node_modules" / "limpet").iterdir()}
    assert files == {"package.json", "worker.js", "worker.mjs", "worker.d.ts", "README.md"}
    for flag, script in (("commonjs", "const { join } = require('limpet/worker'); console.log(typeof join)"),
                         ("module", "import worker, { join, Worker } from 'limpet/worker'; console.log(typeof join)")):
        done = subprocess.run(["node", f"--input-type={flag}", "-e", script], cwd=tmp_path, check=True, capture_output=True,
                              text=True)
        assert done.stdout == "function\n"
