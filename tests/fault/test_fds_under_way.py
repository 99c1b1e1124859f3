"""The kernel bounds the fds of one user that are under way in sockets. Past it sendmsg() fails with ETOOMANYREFS."""
import signal
import subprocess
import sys

import pytest

from harness.wait import wait_until

# Becomes the user, and keeps more fds under way than limpet's router may, until its standard input ends.
HOG = """
import os, resource, socket, sys
uid = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
if os.getuid() != uid:
    os.setgid(uid)
    os.setuid(uid)
ends = []
sent = 0
null = os.open("/dev/null", os.O_RDONLY)
while sent < 2000:
    ends.append(socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))
    try:
        for _ in range(4):
            socket.send_fds(ends[-1][0], [b"x"], [null] * 125)
            sent += 125
    except OSError:
        break
print(sent, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def hog():
    processes = []

    def start(router):
        uid = int(next(line for line in open(f"/proc/{router}/status") if line.startswith("Uid")).split()[1])
        process = subprocess.Popen([sys.executable, "-c", HOG, str(uid)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        processes.append(process)
        assert int(process.stdout.readline()) >= 1000
        return process

    yield start
    for process in processes:
        process.stdin.close()
        process.wait()


def effective_capabilities(pid):
    line = next(line for line in open(f"/proc/{pid}/status") if line.startswith("CapEff"))
    return int(line.split()[1], 16)


def test_connections_wait_until_there_is_room(scene, hog):
    play = scene(workers=2)
    router = play.limit_router_files(512)
    if effective_capabilities(router):
        pytest.skip("a router with capabilities is not bound")
    before = play.files()
    process = hog(router)
    asked = [play.ask(f"127.0.4.{number}") for number in range(1, 60)]
    wait_until(lambda: sum(slot["waiting"] for slot in play.pool()["slots"]) == 59, "all wait")
    process.stdin.close()
    for one in asked:
        one.answer()
    play.account()
    play.wait_files(before)


def test_a_reload_meanwhile_loses_nothing(scene, hog):
    """A succession passes fds, too."""
    play = scene(workers=2)
    router = play.limit_router_files(512)
    if effective_capabilities(router):
        pytest.skip("a router with capabilities is not bound")
    process = hog(router)
    asked = [play.ask(f"127.0.4.{number}") for number in range(1, 60)]
    wait_until(lambda: sum(slot["waiting"] for slot in play.pool()["slots"]) == 59, "all wait")
    play.front.send_signal(signal.SIGHUP)
    wait_until(lambda: play.router() != router, "a successor")
    process.stdin.close()
    for one in asked:
        one.answer()
    play.account()


def test_stopped_workers_hold_back_nobody_else(scene):
    """Three of four are stopped, with full windows of hand-offs in their channels."""
    play = scene(workers=4, window=64, stuck_timeout="60s")
    source = play.source("3")
    stopped, homes = [], {slot: play.source(slot) for slot in "012"}
    for slot, mine in homes.items():
        home = play.worker(slot)
        home.signal(signal.SIGSTOP)
        stopped.append((home, [play.ask(mine) for _ in range(64)]))
        play.wait_slot(slot, unacknowledged=64)
    for _ in range(100):
        assert play.get(source)["slot"] == "3"
    for home, asked in stopped:
        home.signal(signal.SIGCONT)
        for one in asked:
            assert one.answer()["pid"] == home.pid
    play.account()
