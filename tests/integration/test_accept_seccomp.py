"""Protocol accept with programs that no library can be preloaded into: they are served from outside.

What test_accept_shim.py says of both ways is not said again: here are real static programs, what chooses the way, and what
becomes of the agent."""
import contextlib
import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess

import pytest

from harness import paths, sticky
from harness.http import Connection, get
from harness.wait import wait_until
from integration.test_accept_shim import freeze, free_port, goes_on_through, open_held, slots_of

RUST = """
use std::io::{Read, Write};
use std::net::TcpListener;
fn main() {
    let listening = TcpListener::bind(format!("127.0.0.1:{}", std::env::args().last().unwrap())).unwrap();
    let port = listening.local_addr().unwrap().port();
    let slot = std::env::var("LIMPET_SLOT").unwrap_or_default();
    loop {
        let (mut connection, peer) = listening.accept().unwrap();
        let mut head: Vec<u8> = Vec::new();
        let mut more = [0; 4096];
        while !head.windows(4).any(|end| end == b"\\r\\n\\r\\n") {
            match connection.read(&mut more) { Ok(n) if n > 0 => head.extend(&more[..n]), _ => break }
        }
        let body = format!("{{\\"pid\\": {}, \\"slot\\": \\"{}\\", \\"peer\\": \\"{}\\", \\"listening\\": {}}}",
            std::process::id(), slot, peer, port);
        let _ = write!(connection, "HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: {}\\r\\n\\r\\n{}",
            body.len(), body);
    }
}
"""


# What Go has compiled of its library: that takes longer than everything else.
GO = {"GOCACHE": str(paths.TESTS / ".cache" / "go"), "GO111MODULE": "off"}


def compile_go(directory):
    return ["go", "build", "-o", directory / "server", paths.APPS / "server.go"]


def compile_rust(directory):
    (directory / "server.rs").write_text(RUST, encoding="utf-8")
    return ["/usr/bin/rustc", "-C", "target-feature=+crt-static", "-o", directory / "server", directory / "server.rs"]


COMPILERS = {
    "go": ("go", compile_go),
    "c": ("cc", lambda directory: ["cc", "-static", "-o", directory / "server", paths.APPS / "static-server.c"]),
    "musl": ("musl-gcc",
             lambda directory: ["musl-gcc", "-static", "-o", directory / "server", paths.APPS / "static-server.c"]),
    "rust": ("/usr/bin/rustc", compile_rust),
}


@pytest.fixture(name="made", scope="module")
def _made(tmp_path_factory):
    """made("go") is the program, built once."""
    programs = {}

    def make(kind):
        compiler, command = COMPILERS[kind]
        if not paths.agent().exists():
            pytest.skip("limpet was built without libseccomp")
        if not shutil.which(compiler):
            pytest.skip(f"{compiler} is not installed")
        if kind not in programs:
            directory = tmp_path_factory.mktemp(kind)
            subprocess.run(command(directory), check=True, env={**os.environ, "CGO_ENABLED": "0", **GO})
            programs[kind] = directory / "server"
        return programs[kind]
    return make


def place(kind):
    port = free_port()
    return f"127.0.0.1:{port}" if kind == "go" else str(port)


def agents(front):
    return front.pids("limpet-agent")


@pytest.mark.parametrize("kind", COMPILERS)
def test_static_programs_are_sticky_and_come_back(limpet, made, kind):
    front = limpet([made(kind), place(kind)], workers=4, sticky="cookie:sid")
    sticky.check_sticky(front, sticky.by_cookie(front, "sid"), 4)
    front.wait_for(r"worker 0 .* started; limpet-agent .* linked statically or written in Go")
    seen = get(front.address, source="127.0.0.9").json()
    assert seen["peer"].startswith("127.0.0.9:")
    assert str(seen["listening"]).endswith(str(front.port))
    assert "past limpet" not in front.text()
    assert {slot["pid"] for slot in slots_of(front)}.isdisjoint(agents(front))


@pytest.mark.parametrize("mode", ["blocking", "poll"])
def test_processes_that_share_a_socket(limpet, made, mode):
    front = limpet([made("c"), free_port()], workers=2, env={"MODE": mode, "PREFORK": "3"})
    front.wait_ready(2)
    seen = [get(front.address, source=f"127.0.0.{number + 1}").json() for number in range(60)]
    assert len({answer["slot"] for answer in seen}) == 2
    wait_until(lambda: len({get(front.address, source=f"127.0.0.{number + 1}").json()["pid"]
                            for number in range(60)}) > 2, "several processes of one worker answered")


def test_a_dynamic_program_of_go_is_found_by_its_sections(limpet, made, tmp_path):
    """Linked with the C library, it calls the kernel by itself nevertheless."""
    made("go")
    program = tmp_path / "server"
    done = subprocess.run(["go", "build", "-ldflags=-linkmode=external", "-o", program, paths.APPS / "server.go"],
                          env={**os.environ, "CGO_ENABLED": "1", **GO}, capture_output=True, text=True, check=False)
    if done.returncode or b"ld-linux" not in program.read_bytes():
        pytest.skip(f"go does not link with the C library here: {done.stderr}")
    front = limpet([program, place("go")], workers=2)
    front.wait_ready(2)
    front.wait_for("limpet-agent .* serves its system calls")
    assert get(front.address).status == 200


def test_a_script_that_starts_such_a_program_needs_to_be_told(limpet, made):
    """The way is chosen by the command, which here is a shell."""
    port = place("go")
    command = ["sh", "-c", f"{made('go')} {port}; exit"]
    front = limpet(command, workers=1)
    front.wait_for('by itself, past limpet.*"accept": "seccomp"')
    front.stop()
    front = limpet(config={"pools": {"web": {"command": command, "workers": 2, "accept": "seccomp"}}})
    front.wait_ready(2)
    assert get(front.address).status == 200


@pytest.mark.parametrize("kind", ["go", "c"])
def test_a_worker_without_a_free_file_refuses_whole_connections(limpet, made, kind):
    front = limpet([made(kind), place(kind)], workers=2, env={"FILES": "40", "MODE": "poll"})
    front.wait_ready(2)
    held, slots = [], set()
    for _ in range(50):
        connection = Connection(front.address)
        held.append(connection)
        slots.add(connection.get("/hold").json()["slot"])
    assert len(slots) == 2, "the second choice served what the first had no file for"
    for connection in held:
        connection.close()


@pytest.mark.parametrize("kind", ["go", "c"])
def test_what_was_sent_to_a_stopped_worker_is_served_elsewhere_when_it_dies(limpet, made, kind):
    """Once: the connection that its accept() was about to get, too."""
    front = limpet(config={"pools": {"web": {"command": [str(made(kind)), place(kind)], "workers": 2,
                                             "on_down": "next"}}})
    front.wait_ready(2)
    first = get(front.address).json()
    freeze(first["pid"])
    waiting = [Connection(front.address) for _ in range(5)]
    wait_until(lambda: sum(slot["unacknowledged"] for slot in slots_of(front)) == 5, "five hand-offs under way")
    os.kill(first["pid"], signal.SIGKILL)
    for connection in waiting:
        assert connection.get("/").json()["pid"] != first["pid"]
        connection.close()


def test_what_was_sent_to_a_stopped_worker_waits_for_it(limpet, made):
    front = limpet([made("go"), place("go")], workers=1)
    pid = front.wait_ready(1)["0"]
    freeze(pid)
    waiting = [Connection(front.address) for _ in range(5)]
    wait_until(lambda: slots_of(front)[0]["unacknowledged"] == 5, "five hand-offs under way")
    os.kill(pid, signal.SIGCONT)
    for connection in waiting:
        assert connection.get("/").json()["pid"] == pid
        connection.close()


@pytest.mark.parametrize("event", ["router killed", "reload", "upgrade"])
def test_a_new_router_or_binary_changes_nothing(limpet, made, event):
    front = limpet([made("go"), place("go")], workers=2, sticky="cookie:sid")
    front.wait_ready(2)
    held, pids = open_held(front)
    before = goes_on_through(front, event, held, pids)
    pid = before[0][1]
    os.kill(pid, signal.SIGKILL)
    assert front.wait_replaced(before[0][0], pid)
    for connection in held:
        connection.close()


def test_sigterm_finishes_what_is_under_way(limpet, made):
    """The signal comes to the program, once, and its exit status to limpet."""
    front = limpet([made("go"), place("go")], workers=2)
    front.wait_ready(2)
    with Connection(front.address) as connection:
        assert connection.get("/").status == 200
        front.send_signal(signal.SIGTERM)
        assert front.wait() == 0
    assert "killed by" not in front.text() and "exited with" not in front.text()


def test_a_rolling_restart_loses_nothing(limpet, made):
    front = limpet([made("go"), place("go")], workers=2)
    before = front.wait_ready(2)
    front.ctl("restart")
    answered = 0
    while any(pid in before.values() for pid in front.pids()):
        assert get(front.address, cookie=f"sid={answered}").status == 200
        answered += 1
    assert answered
    wait_until(lambda: len(agents(front)) == 2, "the agents of the former generation have ended, too")


def test_program_and_agent_end_together(limpet, made):
    front = limpet([made("c"), free_port()], workers=1, env={"PREFORK": "3"})
    pid = front.wait_ready(1)["0"]
    agent, = agents(front)
    os.kill(agent, signal.SIGKILL)
    front.wait_for(rf"worker 0 \(pid {pid}\) was killed by signal 9")
    next_pid = front.wait_replaced("0", pid)
    wait_until(lambda: pid not in front.pids(), "its program is no more")
    assert get(front.address).status == 200
    agent, = agents(front)
    os.kill(next_pid, signal.SIGSEGV)
    front.wait_for(rf"worker 0 \(pid {next_pid}\) was killed by signal 11")
    wait_until(lambda: agent not in front.pids(), "its agent is no more")
    front.wait_replaced("0", next_pid)
    assert get(front.address).status == 200


def test_what_is_left_of_the_front_costs_nothing_and_stays_alone(limpet, made):
    """limpet is killed: its workers hear of it, and one that ignores that serves what it has, idle."""
    config = {"pools": {"web": {"command": ["sh", "-c", f"trap '' TERM; exec {made('c')} {free_port()}"],
                                "workers": 1, "accept": "seccomp"},
                        "go": {"command": [str(made("go")), place("go")], "workers": 1}}}
    front = limpet(config=config)
    front.wait_for(r"pool web: worker 0 \(pid (\d+)\) ready")
    front.wait_for(r"pool go: worker 0 \(pid (\d+)\) ready")
    pids = {ready.pool: ready.pid for ready in front.ready()}

    def ticks(pid):
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return sum(map(int, stat.read().rsplit(")", 1)[1].split()[11:13]))

    def parent(pid):
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return int(stat.read().rsplit(")", 1)[1].split()[1])
    front.send_signal(signal.SIGKILL)
    front.process.wait()
    wait_until(lambda: not front.pids("limpet-router"), "no router")
    wait_until(lambda: pids["go"] not in front.pids(), "the program that obeys has ended")
    agent = parent(pids["web"])
    wait_until(lambda: agents(front) == [agent], "and its agent")
    before = ticks(agent) + ticks(pids["web"])
    with contextlib.suppress(AssertionError):
        wait_until(lambda: False, "time for a spinning loop", 1)
    assert ticks(agent) + ticks(pids["web"]) - before < 20
    os.kill(pids["web"], signal.SIGKILL)
    wait_until(lambda: not agents(front), "no agent")


def test_a_closed_listening_socket_takes_no_more(limpet, made, tmp_path):
    """The front sees its end although an agent stands between: it keeps no copy."""
    ports = [free_port(), free_port()]
    plain = ["/usr/bin/python3", str(paths.APPS / "plain.py"), *(f"127.0.0.1:{port}" for port in ports)]
    front = limpet(config={"pools": {"web": {"command": plain, "workers": 1, "accept": "seccomp",
                                             "environment": {"MODE": "edge", "CLOSE_AT": "1"}}}})
    pid = front.wait_ready(1)["0"]
    front.wait_for("listening on ", count=2)
    agent, = agents(front)
    before = front.open_files(agent)
    assert get(("127.0.0.1", ports[1])).status == 200
    os.kill(pid, signal.SIGUSR1)
    wait_until(lambda: front.open_files(agent) < before, "the agent has forgotten the socket")
    assert get(("127.0.0.1", ports[0])).status == 200


def test_a_hostile_program_hurts_itself_only(limpet, made, tmp_path):
    """Bad pointers, bad fds, and calls that are not what they seem."""
    program = tmp_path / "hostile.py"
    port = free_port()
    program.write_text(f"""
import ctypes, os, socket, threading
libc = ctypes.CDLL(None, use_errno=True)
server = socket.create_server(("127.0.0.1", {port}))
def call(number, *arguments):
    libc.syscall(number, *(ctypes.c_long(argument) for argument in arguments))
    return ctypes.get_errno()
BIND, LISTEN, ACCEPT, ACCEPT4, CONNECT, GETSOCKNAME, SETSOCKOPT, GETSOCKOPT = 49, 50, 43, 288, 42, 51, 54, 55
bad = [0, 1, -1, 1 << 62, 0x7fffffffffff, 0x10000]
server.setblocking(False)
for fd in [server.fileno(), -1, 0, 1 << 40, 99]:
    for pointer in bad:
        for length in bad:
            for number in (BIND, CONNECT, ACCEPT, ACCEPT4, GETSOCKNAME):
                call(number, fd, pointer, length, -1)
            for option in (3, 30, 38, 39):
                call(GETSOCKOPT, fd, 1, option, pointer, length)
            for option in (9, 23):
                call(SETSOCKOPT, fd, 6, option, pointer, length)
    call(LISTEN, fd, -1)
def rebind():
    for _ in range(200):
        with socket.socket() as other:
            try:
                other.bind(("127.0.0.1", {port}))
            except OSError:
                pass
threads = [threading.Thread(target=rebind) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print("hostile: done", flush=True)
server.setblocking(True)
while True:
    connection, peer = server.accept()
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n")
    connection.close()
""", encoding="utf-8")
    front = limpet(config={"pools": {
        "web": {"command": ["/usr/bin/python3", str(program)], "workers": 1, "accept": "seccomp"},
        "good": {"command": [str(made("c")), str(free_port())], "workers": 1}}})
    front.wait_for("hostile: done", seconds=60)
    assert get(("127.0.0.1", port)).status == 200
    assert front.wait_for(r"pool good: worker 0 .* ready") and "was killed" not in front.text()


@pytest.mark.parametrize("restart", [True, False], ids=["restarted", "EINTR"])
@pytest.mark.parametrize("files", [1024, 24], ids=["", "few files"])
def test_interrupted_calls_lose_no_connection(limpet, made, tmp_path, restart, files):
    """A signal ends a call while the agent has it in hand; the program makes it again."""
    program = tmp_path / "interrupted.py"
    port = free_port()
    program.write_text(f"""
import resource, signal, socket
signal.signal(signal.SIGALRM, lambda *_: None)
signal.siginterrupt(signal.SIGALRM, {not restart})
resource.setrlimit(resource.RLIMIT_NOFILE, ({files}, {files}))
if {restart}:  # binds and listens that are interrupted, too
    signal.setitimer(signal.ITIMER_REAL, 0.003, 0.003)
    for number in range(30):
        with socket.create_server(("127.0.0.1", {port})):
            pass
server = socket.create_server(("127.0.0.1", {port}))
signal.setitimer(signal.ITIMER_REAL, 0.003, 0.003)
count = 0
while True:
    connection, peer = server.accept()
    assert peer == connection.getpeername(), peer
    count += 1
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 6\\r\\nConnection: close\\r\\n\\r\\n%6d" % count)
    connection.close()
""", encoding="utf-8")
    made("c")
    front = limpet(config={"pools": {"web": {"command": ["/usr/bin/python3", str(program)], "workers": 1,
                                             "accept": "seccomp"}}})
    pid = front.wait_ready(1)["0"]
    wait_until(lambda: not get(("127.0.0.1", port)).status != 200, "it serves")
    first = int(get(("127.0.0.1", port)).body)
    for number in range(300):
        assert int(get(("127.0.0.1", port)).body) == first + 1 + number
    assert front.ready()[-1].pid == pid
    wait_until(lambda: slots_of(front)[0]["unacknowledged"] == 0, "all acknowledged")


def options_of_sockets(pid, port, level, name):
    """What the TCP sockets of a process that are bound to the port say."""
    libc = ctypes.CDLL(None, use_errno=True)
    handle = libc.syscall(434, pid, 0)  # pidfd_open, the same number on all machines; below: pidfd_getfd
    for number in os.listdir(f"/proc/{pid}/fd"):
        fd = libc.syscall(438, handle, int(number), 0)
        if fd < 0:
            continue
        try:
            with socket.socket(fileno=fd) as copy:
                if copy.family == socket.AF_INET and copy.getsockname()[1] == port:
                    yield copy.getsockopt(level, name)
        except OSError:
            with contextlib.suppress(OSError):
                os.close(fd)
    os.close(handle)


def test_options_that_are_set_after_listen(limpet, made, tmp_path):
    """They reach the socket that limpet listens on."""
    made("c")
    program = tmp_path / "server.py"
    port = free_port()
    program.write_text(f"""
import signal, socket
server = socket.create_server(("127.0.0.1", {port}))
server.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 7)
signal.pause()
""", encoding="utf-8")
    front = limpet(config={"pools": {"web": {"command": ["/usr/bin/python3", str(program)], "workers": 1,
                                             "accept": "seccomp"}}})
    front.wait_ready(1)
    wait_until(lambda: [value for value in options_of_sockets(front.process.pid, port, socket.IPPROTO_TCP,
                                                             socket.TCP_DEFER_ACCEPT) if value], "the option")


def test_no_new_privileges(limpet, made):
    front = limpet([made("go"), place("go")], workers=1)
    pid = front.wait_ready(1)["0"]
    status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    assert "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status
