"""Protocol accept when something goes wrong: nothing is lost that a living worker could serve, nothing is served twice, and no
program spins."""
import contextlib
import os
import shutil
import signal
import subprocess
import time

import pytest

from harness import paths
from harness.http import Connection, get, request
from harness.processes import children_of
from harness.wait import wait_until
from integration.test_accept_shim import PLAIN, free_port, freeze, slots_of

CONNECTIONS = 100_000 if os.environ.get("LIMPET_SERVERS") in ("all", "write") else 10_000


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """programs(name, *flags): a program of tests/apps, compiled."""
    directory = tmp_path_factory.mktemp("programs")

    def build(name, *flags):
        program = directory / f"{name}-{len(list(directory.iterdir()))}"
        subprocess.run(["cc", "-O2", "-g", "-Wall", "-Wextra", "-Werror", *flags, "-o", program, paths.APPS / f"{name}.c"],
                       check=True)
        return program
    return build


def processor_time(pids):
    """Seconds that these processes have used so far; those that have ended count no more."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            ticks += sum(map(int, stat.read().rsplit(")", 1)[1].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def check_idle(pids, seconds=1.0):
    """They use next to nothing in this time: one that spins would use all of it."""
    before = processor_time(pids)
    time.sleep(seconds)
    assert processor_time(pids) - before < 0.2 * seconds


def sources_of(front, slot, count):
    found = [source for source in (f"127.0.0.{number}" for number in range(1, 200))
             if get(front.address, source=source).body.split()[1] == slot.encode()]
    assert len(found) >= count
    return found[:count]


def asked(front, source):
    connection = Connection(front.address, source=source, timeout=30)
    connection.send(request("/"))
    return connection


def pids_of_answers(connections):
    """Each has one answer, whole, and then its end."""
    pids = []
    for connection in connections:
        with connection:
            response = connection.response()
            assert response.status == 200
            assert connection.read_all() == b""
        pids.append(int(response.body.split()[0]))
    return pids


def test_killed_before_it_accepted(limpet, programs):
    """What was sent to a worker that has not accepted it is served by the others, once."""
    front = limpet([programs("c-server"), free_port()], workers=2)
    pid = front.wait_ready(2)["0"]
    sources = sources_of(front, "0", 10)
    freeze(pid)
    waiting = [asked(front, source) for source in sources]
    wait_until(lambda: slots_of(front)[0]["unacknowledged"] == 10, "ten hand-offs under way")
    os.kill(pid, signal.SIGKILL)
    assert pid not in pids_of_answers(waiting)
    front.wait_replaced("0", pid)
    wait_until(lambda: all(slot["unacknowledged"] == 0 for slot in slots_of(front)), "none is under way")


def test_killed_while_it_serves_one(limpet, programs):
    """The one that it has accepted is lost with it; those behind that are not."""
    front = limpet([programs("c-server"), free_port()], workers=2)
    pid = front.wait_ready(2)["0"]
    source = sources_of(front, "0", 1)[0]
    with Connection(front.address, source=source) as served:
        assert served.get("/hold").status == 200
        waiting = [asked(front, source) for _ in range(10)]
        wait_until(lambda: slots_of(front)[0]["unacknowledged"] == 10, "ten hand-offs under way")
        os.kill(pid, signal.SIGKILL)
        assert pid not in pids_of_answers(waiting)
        assert served.ended()


def test_stopped_and_continued(limpet, programs):
    """After stuck_timeout its clients go elsewhere; those that it was sent are its own, and it serves them when it goes on."""
    port = free_port()
    front = limpet(config={"listeners": {"web": {"address": f"127.0.0.1:{port}", "sticky": "ip"}}, "pools": {"web": {
        "command": [str(programs("c-server")), str(port)], "protocol": "accept", "workers": 2, "window": 4,
        "stuck_timeout": "500ms"}}})
    pid = front.wait_ready(2)["0"]
    source = sources_of(front, "0", 1)[0]
    freeze(pid)
    sent = [asked(front, source) for _ in range(4)]
    wait_until(lambda: slots_of(front)[0]["unacknowledged"] == 4, "four hand-offs under way")
    assert pid not in pids_of_answers([asked(front, source) for _ in range(4)])
    os.kill(pid, signal.SIGCONT)
    assert set(pids_of_answers(sent)) == {pid}
    wait_until(lambda: get(front.address, source=source).body.split()[0] == b"%d" % pid, "its clients are back")


def test_no_free_file(limpet):
    """A program that polls and has no free file refuses; while nobody else can serve, nobody spins."""
    front = limpet([*PLAIN, f"127.0.0.1:{free_port()}"], workers=1, env={"FILES": "30", "MODE": "blocking"})
    pid = front.wait_ready(1)["0"]
    address = front.address
    held = []
    with contextlib.suppress(TimeoutError, ConnectionError, AssertionError):
        while len(held) < 40:
            held.append(Connection(address, timeout=2))
            assert held[-1].get("/hold").status == 200
    assert 5 < len(held) < 40
    check_idle([front.process.pid, front.router()])
    for connection in held:
        connection.close()
    wait_until(lambda: front.open_files(pid) < 20, "its files are free")
    assert get(address).status == 200


@pytest.fixture
def survivors():
    """Processes that are to be ended."""
    pids = []
    yield pids
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_two_hundred_processes_share_a_socket(limpet, programs, survivors):
    """All of them wait in accept() for the same connections; when the front is killed, none of them wakes up."""
    front = limpet([programs("c-server"), free_port()], workers=1, env={"CHILDREN": "200", "LIVES_ON": "1"})
    worker = front.wait_ready(1)["0"]
    address = front.address
    # A child that waits is a child that has come so far.
    children = wait_until(lambda: len(found := children_of(worker)) == 200 and found, "200 processes")
    survivors += [worker, *children]
    held = [Connection(address) for _ in range(150)]
    assert all(connection.get("/hold").status == 200 for connection in held)
    assert len(set(pids_of_answers([asked(front, "127.0.0.9") for _ in range(100)]))) > 1
    check_idle([*children, worker])

    front.send_signal(signal.SIGKILL)
    front.process.wait()
    wait_until(lambda: not front.pids("limpet-router"), "no router")
    check_idle([*children, worker])
    assert len(children_of(worker)) == 200
    for connection in held:
        connection.close()
    for pid in survivors:
        os.kill(pid, signal.SIGKILL)
    survivors.clear()


def test_the_router_is_killed_again_and_again(limpet, programs):
    """What is in a worker's queue then is not known to the next router, and is served all the same; nothing twice."""
    front = limpet([programs("c-server"), free_port()], workers=2)
    pids = set(front.wait_ready(2).values())
    client = programs("c-client")
    front.address  # noqa: B018 (it listens)
    for _ in range(3):
        router = front.router()
        load = subprocess.Popen([client, *map(str, front.address), "400"], stdout=subprocess.PIPE, text=True)
        before = sum(slot["handed_off"] for slot in slots_of(front))
        wait_until(lambda: sum(slot["handed_off"] for slot in slots_of(front)) > before + 20, "under load")
        os.kill(router, signal.SIGKILL)
        # Those that the router was about to hand over are lost with it.
        assert int(load.communicate(timeout=60)[0]) >= 400 - 2
        wait_until(lambda: router not in front.pids("limpet-router") and front.pids("limpet-router"), "another router")
    assert {slot["pid"] for slot in slots_of(front)} == pids


def test_no_file_leaks(limpet, programs):
    """Thousands of connections later everybody has as many files open as before. All of 100,000 with LIMPET_SERVERS=all."""
    front = limpet([programs("c-server"), free_port()], workers=2)
    front.wait_ready(2)
    client = programs("c-client")

    def files():
        wait_until(lambda: all(slot["unacknowledged"] == 0 for slot in slots_of(front)), "none is under way")
        counts = {int(get(front.address, source=f"127.0.0.{number}").body.split()[2]) for number in range(1, 30)}
        return counts, front.open_files(front.process.pid), front.open_files(front.router())

    before = files()
    done = subprocess.run([client, *map(str, front.address), str(CONNECTIONS)], capture_output=True, text=True, timeout=110,
                          check=False)
    assert done.stdout == f"{CONNECTIONS}\n"
    wait_until(lambda: files() == before, f"as many files as before: {before}")
    handed_off = sum(slot["handed_off"] for slot in slots_of(front))
    wait_until(lambda: sum(slot["acknowledged"] for slot in slots_of(front)) >= handed_off >= CONNECTIONS, "acknowledged")


@pytest.mark.skipif(not shutil.which("valgrind"), reason="valgrind is not installed")
@pytest.mark.parametrize("options", [{}, {"RAW": "1", "CHILDREN": "3"}], ids=str)
def test_the_library_under_valgrind(limpet, programs, options):
    log = "/dev/stderr"
    front = limpet(["valgrind", "-q", "--leak-check=full", "--trace-children=yes", f"--log-file={log}", programs("c-server", "-O0"),
                    free_port()], workers=1, env=options)
    front.wait_ready(1, seconds=60)
    for number in range(40):
        assert get(front.address, source=f"127.0.0.{number + 1}", timeout=30).status == 200
    front.send_signal(signal.SIGTERM)
    assert front.wait(30) == 0
    assert "== " not in front.text()


@pytest.mark.parametrize("options", [{}, {"RAW": "1", "CHILDREN": "3"}], ids=str)
def test_a_program_with_sanitizers(limpet, programs, options):
    """Its own allocator and its own functions stand before, and behind, the library's."""
    program = programs("c-server", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    front = limpet([program, free_port()], workers=1, env={
        **options, "ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=1"})
    front.wait_ready(1, seconds=60)
    for number in range(40):
        assert get(front.address, source=f"127.0.0.{number + 1}", timeout=30).status == 200
    front.stop()
    assert "ERROR" not in front.text()
