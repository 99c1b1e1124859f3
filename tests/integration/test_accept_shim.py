"""Protocol accept: programs that know nothing of limpet get the connections that are theirs from accept()."""
import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import time

import pytest

from harness import paths, proxy_protocol, sticky
from harness.http import Connection, get
from harness.http import request as http_request
from harness.wait import wait_until

PYTHON = "/usr/bin/python3"
PLAIN = [PYTHON, paths.APPS / "plain.py"]


@pytest.fixture(name="limpet", params=["preload", "seccomp"])
def _limpet(limpet, request):
    """Every test twice: what a program sees is the same, whichever way its calls are reached."""
    if request.param == "seccomp" and not paths.agent().exists():
        pytest.skip("limpet was built without libseccomp")

    def start(command=None, *, config=None, workers=None, sticky=None, listen=None, **options):
        if config is None:
            config = {"pools": {"default": {"command": [str(word) for word in command], "workers": workers}}}
            listener = {"pool": "default"}
            if sticky:
                listener["sticky"] = [{sticky.partition(":")[0]: sticky.partition(":")[2]}]
            if listen:
                listener["address"] = listen
            if len(listener) > 1:
                config["listeners"] = {"web": listener}
        for pool in config["pools"].values():
            pool["accept"] = request.param
        return limpet(config=config, **options)
    return start


def free_port():
    """A port that nobody has now, and that the kernel gives to no client: these programs are told theirs."""
    for port in random.sample(range(10240, 32768), 100):
        with socket.socket(socket.AF_INET6) as probe, contextlib.suppress(OSError):
            probe.bind(("::", port))
            return port
    raise AssertionError("no free port")


def slots_of(front):
    import json
    return next(iter(json.loads(front.ctl("-j", "status"))["pools"].values()))["slots"]


def holders(front, address):
    """Which of its processes have the socket that listens there."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table]
    sockets = {f"socket:[{row[9]}]" for row in rows if row[1].endswith(f":{address[1]:04X}") and row[3] == "0A"}
    found = set()
    for pid in front.pids():
        with contextlib.suppress(OSError):
            for number in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    if os.readlink(f"/proc/{pid}/fd/{number}") in sockets:
                        found.add(pid)
    return found


def freeze(pid):
    """SIGSTOP, and until every thread has stopped: one that waits in accept() may take another connection before."""
    os.kill(pid, signal.SIGSTOP)

    def states():
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/stat", encoding="ascii") as stat:
                yield stat.read().rsplit(")", 1)[1].split()[0]
    wait_until(lambda: set(states()) == {"T"}, "the worker is stopped")


@pytest.mark.parametrize("mode", ["blocking", "select", "edge", "early"])
def test_what_a_program_sees_is_what_it_would_see_alone(limpet, mode):
    port = free_port()
    front = limpet([*PLAIN, f"127.0.0.1:{port}"], workers=2, env={"MODE": mode})
    front.wait_ready(2)
    assert front.address == ("127.0.0.1", port)
    pids = set()
    for number in range(40):
        source = f"127.0.0.{number + 1}"
        with Connection(front.address, source) as connection:
            name = "%s:%d" % connection.socket.getsockname()
            seen = connection.get("/").json()
        assert seen["peer"] == seen["peername"] == name
        assert seen["listening"] == seen["local"] == f"127.0.0.1:{port}"
        assert seen["blocking"] and seen["accepts"] and seen["type"] and seen["protocol"]
        pids.add(seen["pid"])
    assert len(pids) == 2


def test_sticky_by_cookie_and_back_after_a_death(limpet):
    front = limpet([*PLAIN, f"127.0.0.1:{free_port()}"], workers=4, sticky="cookie:sid")
    front.wait_ready(4)
    sticky.check_sticky(front, sticky.by_cookie(front, "sid"), 4)


def test_a_listener_of_limpets_own(limpet):
    front = limpet([*PLAIN, "127.0.0.1:7"], workers=2, listen="127.0.0.1:0")
    front.wait_ready(2)
    seen = get(front.address).json()
    assert seen["listening"] == "127.0.0.1:7"
    assert seen["local"] == "%s:%d" % front.address


def test_several_sockets_and_families(limpet):
    ports = [free_port(), free_port(), free_port(), free_port()]
    addresses = [f"127.0.0.1:{ports[0]}", f"127.0.0.1:{ports[1]}", f"[::1]:{ports[2]}"]
    front = limpet([*PLAIN, *addresses], workers=2)
    front.wait_ready(2)
    front.wait_for("listening on ", count=3)
    for number in range(10):
        homes = set()
        for port in ports[:2]:
            seen = get(("127.0.0.1", port), source=f"127.0.0.{number + 1}").json()
            assert seen["listening"] == f"127.0.0.1:{port}"
            homes.add(seen["pid"])
        assert len(homes) == 1
    assert get(("::1", ports[2])).json()["listening"] == f"[::1]:{ports[2]}"


def test_dual_stack_and_both_families_on_one_port(limpet):
    port = free_port()
    front = limpet([*PLAIN, f"[::]:{port}"], workers=2)
    front.wait_ready(2)
    assert get(("127.0.0.1", port)).json()["peer"].startswith("[::ffff:127.0.0.1]")
    front.stop()
    port = free_port()
    front = limpet([*PLAIN, f"0.0.0.0:{port}", f"[::]:{port}"], workers=2, env={"V6ONLY": "1"})
    front.wait_ready(2)
    front.wait_for("listening on ", count=2)
    assert get(("127.0.0.1", port)).json()["listening"] == f"0.0.0.0:{port}"
    assert get(("::1", port)).json()["listening"] == f"[::]:{port}"


def test_port_0_is_one_port_for_all_workers(limpet):
    front = limpet([*PLAIN, "127.0.0.1:0", "127.0.0.1:0"], workers=3)
    front.wait_ready(3)
    front.wait_for("listening on ", count=2)
    ports = [address[1] for address, _ in front.listening()]
    assert len(set(ports)) == 2 and 0 not in ports
    slots = set()
    for number in range(30):
        for port in ports:
            seen = get(("127.0.0.1", port), source=f"127.0.0.{number + 1}").json()
            assert seen["listening"] == f"127.0.0.1:{port}"
            slots.add(seen["slot"])
    assert len(slots) == 3


def test_a_taken_address_is_told_at_bind(limpet):
    with socket.create_server(("127.0.0.1", 0)) as other:
        front = limpet([*PLAIN, "127.0.0.1:%d" % other.getsockname()[1]], workers=1)
        front.wait_for("plain: bind .*: EADDRINUSE")
        front.wait_for("cannot listen on 127.0.0.1:.*: Address already in use")


@pytest.mark.parametrize("options", [{}, {"FORK_AT": "bind"}, {"EXEC": "1"}, {"EXEC": "1", "FORK_AT": "bind"}],
                         ids=["fork behind listen", "fork behind bind", "exec between", "exec and fork between"])
def test_processes_that_share_a_listening_socket(limpet, options):
    front = limpet([*PLAIN, f"127.0.0.1:{free_port()}"], workers=2, env={"PREFORK": "3", "MODE": "select", **options})
    front.wait_ready(2)
    held = [Connection(front.address, source=f"127.0.0.{number + 1}") for number in range(60)]
    seen = [connection.get("/").json() for connection in held]
    assert len({answer["slot"] for answer in seen}) == 2
    assert len({answer["pid"] for answer in seen}) > 2
    for connection in held:
        connection.close()
    assert holders(front, front.address) == {front.process.pid, front.router()}, "who else holds it keeps it open when limpet is gone"


def test_a_worker_without_a_free_file_refuses_whole_connections(limpet):
    front = limpet([*PLAIN, f"127.0.0.1:{free_port()}"], workers=2, env={"FILES": "40", "MODE": "select"})
    front.wait_ready(2)
    held = []
    slots = set()
    for _ in range(50):
        connection = Connection(front.address)
        held.append(connection)
        slots.add(connection.get("/hold").json()["slot"])
    assert len(slots) == 2, "the second choice served what the first had no file for"
    for connection in held:
        connection.close()


def open_held(front, count=6):
    held = [Connection(front.address, source=f"127.0.0.{number + 1}") for number in range(count)]
    return held, [connection.get("/hold").json()["pid"] for connection in held]


def say(connection):
    connection.send(b"?\n")
    return int(connection.read_until(b"\n"))


def goes_on_through(front, event, held, pids):
    """Two routers later all is as before; returns who is where."""
    ask = sticky.by_cookie(front, "sid")
    before = sticky.homes_of(ask, range(20))
    for _ in range(2):
        router = front.router()
        if event == "router killed":
            os.kill(router, signal.SIGKILL)
        else:
            front.send_signal(signal.SIGHUP if event == "reload" else signal.SIGUSR2)
        wait_until(lambda: [pid for pid in front.pids("limpet-router") if pid != router], "another router")  # noqa: B023
        wait_until(lambda: router not in front.pids("limpet-router"), "the former router ended")  # noqa: B023
        assert [say(connection) for connection in held] == pids
        assert sticky.homes_of(ask, range(20)) == before
    return before


@pytest.mark.parametrize("event", ["router killed", "reload", "upgrade"])
def test_a_new_router_changes_nothing(limpet, event):
    front = limpet([*PLAIN, f"127.0.0.1:{free_port()}"], workers=2, sticky="cookie:sid")
    front.wait_ready(2)
    held, pids = open_held(front)
    goes_on_through(front, event, held, pids)
    for connection in held:
        connection.close()


def test_a_worker_that_comes_after_a_crash_of_the_router_listens(limpet):
    front = limpet([*PLAIN, f"127.0.0.1:{free_port()}"], workers=1)
    pid = front.wait_ready(1)["0"]
    os.kill(front.router(), signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    front.wait_replaced("0", pid)
    assert get(front.address).json()["pid"] != pid


def test_connections_wait_for_a_worker_that_died(limpet):
    front = limpet([*PLAIN, f"127.0.0.1:{free_port()}"], workers=1)
    pid = front.wait_ready(1)["0"]
    address = front.address
    freeze(pid)
    waiting = [Connection(address) for _ in range(5)]
    wait_until(lambda: slots_of(front)[0]["unacknowledged"] == 5, "five hand-offs under way")
    os.kill(pid, signal.SIGKILL)
    for connection in waiting:
        assert connection.get("/").json()["pid"] != pid
        connection.close()


def test_a_rolling_restart_loses_nothing(limpet):
    front = limpet([*PLAIN, f"127.0.0.1:{free_port()}"], workers=2)
    before = front.wait_ready(2)
    front.ctl("restart")
    after = {slot: front.wait_replaced(slot, pid) for slot, pid in before.items()}
    for number in range(30):
        assert get(front.address, source=f"127.0.0.{number + 1}").status == 200
    assert set(after.values()).isdisjoint(before.values())


def test_the_end_of_the_former_generation_closes_no_socket_that_the_next_needs(limpet):
    """Its worker has died, and the next one has not come yet: clients wait."""
    front = limpet([*PLAIN, f"127.0.0.1:{free_port()}"], workers=1)
    former = front.wait_ready(1)["0"]
    freeze(former)
    waiting = Connection(front.address)
    waiting.send(http_request("/"))
    wait_until(lambda: slots_of(front)[0]["unacknowledged"] == 1, "a hand-off under way")
    front.ctl("restart")
    present = front.wait_replaced("0", former)
    for _ in range(2):
        # The more often it dies the longer it takes until the next one comes.
        os.kill(present, signal.SIGKILL)
        present = front.wait_replaced("0", present)
    begin = front.mark_log()
    os.kill(present, signal.SIGKILL)
    front.wait_for("starts again in", after=begin)
    os.kill(former, signal.SIGKILL)
    front.wait_for(f"pid {former}\\) was killed", after=begin)
    assert get(front.address).status == 200
    assert waiting.response().status == 200
    waiting.close()
    assert front.text().count("listening on") == 1


def test_a_drained_program_gets_sigterm_when_it_has_taken_all(limpet):
    front = limpet([*PLAIN, f"127.0.0.1:{free_port()}"], workers=1)
    pid = front.wait_ready(1)["0"]
    address = front.address
    freeze(pid)
    waiting = Connection(address)
    wait_until(lambda: slots_of(front)[0]["unacknowledged"] == 1, "a hand-off under way")
    front.send_signal(signal.SIGTERM)
    front.wait_for("stopping")
    os.kill(pid, signal.SIGCONT)
    assert front.wait() == 0
    waiting.close()


def test_what_is_left_of_the_front_costs_a_worker_nothing(limpet, tmp_path):
    """limpet is killed, and a worker that ignores its signal serves what it has, idle."""
    front = limpet(["sh", "-c", f"trap '' TERM; exec {PYTHON} {PLAIN[1]} 127.0.0.1:{free_port()}"], workers=1,
                   env={"MODE": "select"})
    pid = front.wait_ready(1)["0"]
    held, pids = open_held(front, 1)

    def ticks():
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return sum(map(int, stat.read().rsplit(")", 1)[1].split()[11:13]))
    front.send_signal(signal.SIGKILL)
    front.process.wait()
    wait_until(lambda: not front.pids("limpet-router"), "no router")
    assert say(held[0]) == pids[0]
    before = ticks()
    for _ in range(50):
        assert say(held[0]) == pids[0]
    assert ticks() - before < 20
    # A spinning accept loop would have taken as many ticks as there are.
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        assert stat.read().rsplit(")", 1)[1].split()[0] == "S"
    os.kill(pid, signal.SIGKILL)
    held[0].close()


@pytest.mark.parametrize("limpet", ["preload"], indirect=True)
def test_a_worker_that_listens_past_limpet_is_found(limpet, tmp_path):
    program = tmp_path / "static-server"
    subprocess.run(["cc", "-static", "-o", program, paths.APPS / "static-server.c"], check=True)
    port = free_port()
    front = limpet([program, port], workers=2)
    began = time.monotonic()
    front.wait_for(rf"worker 0 .* listens on 127.0.0.1:{port} by itself, past limpet", seconds=5)
    front.wait_for(rf"worker 1 .* listens on 127.0.0.1:{port} by itself, past limpet", seconds=5)
    assert time.monotonic() - began < 3
    assert [slot["bypass"] for slot in slots_of(front)] == [f"127.0.0.1:{port}"] * 2
    assert f"worker 0 listens on 127.0.0.1:{port} by itself" in front.ctl("status")


def test_no_worker_is_suspected_wrongly(limpet):
    front = limpet([*PLAIN, f"127.0.0.1:{free_port()}", "127.0.0.1:0"], workers=2)
    front.wait_ready(2)
    get(front.address)
    assert "past limpet" not in front.text()
    assert not any("bypass" in slot for slot in slots_of(front))


def test_a_new_address_takes_the_place_of_the_old_one(limpet):
    """The command changes, and with it the port: when the last worker of the old generation has ended, its port is closed."""
    ports = [free_port(), free_port()]

    def config(port):
        return {"pools": {"web": {"command": [*map(str, PLAIN), f"127.0.0.1:{port}"], "workers": 2}}}
    front = limpet(config=config(ports[0]))
    before = front.wait_ready(2)
    assert get(("127.0.0.1", ports[0])).status == 200
    front.write_config(config(ports[1]))
    front.send_signal(signal.SIGHUP)
    for slot, pid in before.items():
        front.wait_replaced(slot, pid)
    wait_until(lambda: not set(before.values()) & set(front.pids()), "the old workers ended")
    assert get(("127.0.0.1", ports[1])).json()["listening"] == f"127.0.0.1:{ports[1]}"

    def is_closed():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", ports[0])) != 0
    wait_until(is_closed, "the old port is closed")


def test_a_bound_socket_may_connect_instead(limpet, tmp_path):
    """Clients bind to a port of their choice, too, and limpet lets go of it."""
    program = tmp_path / "client.py"
    source = free_port()
    with socket.create_server(("127.0.0.1", 0)) as server:
        program.write_text(f"""
import socket, time
client = socket.socket()
client.bind(("127.0.0.1", {source}))
client.connect(("127.0.0.1", {server.getsockname()[1]}))
print("connected from", client.getsockname()[1], flush=True)
client.sendall(b"hello")
server = socket.create_server(("127.0.0.1", 0))
while True:
    server.accept()
""", encoding="utf-8")
        front = limpet([PYTHON, program], workers=1)
        front.wait_ready(1)
        connection, peer = server.accept()
        with connection:
            assert peer == ("127.0.0.1", source) and connection.recv(5) == b"hello"
        front.wait_for(f"connected from {source}")


@pytest.mark.parametrize("limpet", ["preload"], indirect=True)
def test_options_are_answered_as_alone(limpet):
    """Programs copy options of the listening to the accepted socket: what is not true there breaks, or slows, connections."""
    program = paths.APPS / "socket-options.py"
    alone = subprocess.run([PYTHON, program, str(free_port())], capture_output=True, text=True, check=True, timeout=30).stdout
    front = limpet([PYTHON, program, free_port(), "stay"], workers=1)
    front.wait_ready(1)
    front.wait_for("options: end")
    seen = [line for line in front.text().splitlines() if line.startswith("options: ")]
    assert seen == alone.splitlines()


@pytest.fixture(scope="module")
def c_server(tmp_path_factory):
    program = tmp_path_factory.mktemp("programs") / "c-server"
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, paths.APPS / "c-server.c"], check=True)
    return program


@pytest.mark.parametrize("options", [{}, {"RAW": "1"}, {"CLOSES": "marked"}, {"CLOSES": "closed"}, {"CLOSES": "range"}],
                         ids=str)
def test_a_program_that_goes_its_own_ways(limpet, c_server, options):
    """Calls through syscall(), and programs that close before exec() what they do not know."""
    front = limpet([c_server, free_port()], workers=2, env=options)
    front.wait_ready(2)
    seen = {get(front.address, source=f"127.0.0.{number + 1}").body.split()[1] for number in range(20)}
    assert seen == {b"0", b"1"}
    assert "past limpet" not in front.text()


@pytest.mark.parametrize("limpet", ["preload"], indirect=True)
def test_a_control_socket_that_is_closed_unseen_is_missed(limpet, c_server):
    port = free_port()
    front = limpet([c_server, port], workers=1, env={"CLOSES": "behind"})
    front.wait_for(rf"listens on 127.0.0.1:{port} by itself, past limpet.* has closed limpet's socket")


@pytest.mark.parametrize("limpet", ["seccomp"], indirect=True)
def test_nobody_can_close_what_is_outside(limpet, c_server):
    front = limpet([c_server, free_port()], workers=2, env={"CLOSES": "behind"})
    front.wait_ready(2)
    assert {get(front.address, source=f"127.0.0.{number + 1}").body.split()[1] for number in range(20)} == {b"0", b"1"}


PROXIED = {"proxy_protocol": True, "trusted_proxies": ["127.0.0.0/8"], "sticky": "ip"}


@pytest.mark.parametrize("bound,header,client", [
    ("127.0.0.1", proxy_protocol.v1("203.0.113.9", source_port=51123), "203.0.113.9:51123"),
    ("127.0.0.1", proxy_protocol.v2("203.0.113.9", source_port=51123), "203.0.113.9:51123"),
    ("[::1]", proxy_protocol.v1("203.0.113.9", source_port=51123), "203.0.113.9:51123"),
    # An IPv4 socket has no such address: the proxy's is the best that there is.
    ("127.0.0.1", proxy_protocol.v2("2001:db8::7", source_port=51123), None),
    ("127.0.0.1", proxy_protocol.v2_raw(proxy_protocol.LOCAL, proxy_protocol.UNSPEC, b""), None),
])
def test_the_client_behind_a_proxy_is_the_peer(limpet, request, bound, header, client):
    preloaded = request.node.callspec.params["limpet"] == "preload"  # else getpeername() is not seen
    front = limpet(config={"listeners": {"web": {**PROXIED, "address": "127.0.0.1:0"}}, "pools": {
        "web": {"command": [*map(str, PLAIN), f"{bound}:7"], "workers": 2}}})
    front.wait_ready(2)
    for _ in range(3):
        with Connection(front.address) as connection:
            name = "%s:%d" % connection.socket.getsockname()
            connection.send(header + http_request("/"))
            seen = connection.response().json()
        assert seen["peer"] == (client or name)
        assert seen["peername"] == (seen["peer"] if preloaded else name)


def test_the_client_behind_a_proxy_on_a_socket_of_both_families(limpet):
    port = free_port()
    front = limpet(config={"listeners": {"web": PROXIED}, "pools": {
        "web": {"command": [*map(str, PLAIN), f"[::]:{port}"], "workers": 1}}})
    front.wait_ready(1)
    for client, seen in [("203.0.113.9", "[::ffff:203.0.113.9]:51123"), ("2001:db8::7", "[2001:db8::7]:51123")]:
        with Connection(("127.0.0.1", port)) as connection:
            connection.send(proxy_protocol.v2(client, source_port=51123) + http_request("/"))
            answer = connection.response().json()
            assert answer["peer"] == seen


def test_a_program_that_is_to_see_the_proxy(limpet):
    front = limpet(config={"listeners": {"web": {**PROXIED, "address": "127.0.0.1:0", "client_address": "ignore"}}, "pools": {
        "web": {"command": [*map(str, PLAIN), "127.0.0.1:7"], "workers": 1}}})
    front.wait_ready(1)
    with Connection(front.address) as connection:
        connection.send(proxy_protocol.v1("203.0.113.9") + http_request("/"))
        seen = connection.response().json()
        assert seen["peer"] == seen["peername"] == "%s:%d" % connection.socket.getsockname()


LATE_OPTIONS = """
import json, os, socket, sys
listening = socket.socket()
listening.bind(("127.0.0.1", int(sys.argv[1])))
if "FORK" in os.environ and os.fork():
    os.wait()
listening.listen(16)
listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 77)
listening.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 33)
listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # would concern others
while True:
    connection, _ = listening.accept()
    with connection:
        connection.recv(65536)
        body = json.dumps([connection.getsockopt(*option) for option in (
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE), (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
            (socket.IPPROTO_IP, socket.IP_TTL), (socket.SOL_SOCKET, socket.SO_REUSEPORT))]).encode()
        connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(body), body))
"""


@pytest.mark.parametrize("limpet", ["preload"], indirect=True)
@pytest.mark.parametrize("options", [{}, {"FORK": "1"}], ids=["listens itself", "the child listens"])
def test_options_that_are_set_late_are_the_connections(limpet, tmp_path, options):
    program = tmp_path / "late.py"
    program.write_text(LATE_OPTIONS, encoding="utf-8")
    front = limpet([PYTHON, program, free_port()], workers=1, env=options)
    front.wait_ready(1)
    address = front.address
    wait_until(lambda: get(address).json() == [1, 77, 33, 0], "options set at the front")
    # They are the socket's, whoever passes it on.
    os.kill(front.router(), signal.SIGKILL)
    assert get(address).json() == [1, 77, 33, 0]


@pytest.mark.parametrize("limpet", ["preload"], indirect=True)
def test_a_listener_of_limpets_own_is_not_the_programs(limpet, tmp_path):
    program = tmp_path / "late.py"
    program.write_text(LATE_OPTIONS, encoding="utf-8")
    front = limpet([PYTHON, program, "7"], workers=1, listen="127.0.0.1:0")
    front.wait_ready(1)
    # The option has come before the connection: they take the same way.
    get(front.address)
    assert get(front.address).json()[1:] == [7200, 64, 0]


SHUTS = """
import errno, os, signal, socket, sys, threading
how, port = getattr(socket, sys.argv[1], None), int(sys.argv[2])

def answer(connection):
    with connection:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\n%s\\n" % os.environ["LIMPET_SLOT"].encode())

def serve():
    global listening
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    listening.listen(16)
    while True:
        try:
            answer(listening.accept()[0])
        except OSError as error:
            os.write(1, b"accept: %s\\n" % errno.errorcode[error.errno].encode())
            break
    os.write(1, b"" if listening.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM else b"no socket\\n")
    listening.close()
    signal.sigwait([signal.SIGUSR2])

signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGUSR2])

def shut():
    while True:
        signal.sigwait([signal.SIGUSR1])
        listening.shutdown(how)

threading.Thread(target=shut, daemon=True).start()
while True:
    serve()
"""


@pytest.mark.parametrize("how", ["SHUT_RDWR", "SHUT_RD"])
def test_shutdown_ends_accept_and_others_serve(limpet, tmp_path, how):
    """As programs wake up their threads that accept. Then they may listen again."""
    program = tmp_path / "shuts.py"
    program.write_text(SHUTS, encoding="utf-8")
    front = limpet([PYTHON, program, how, free_port()], workers=2)
    pids = front.wait_ready(2)
    address = front.address

    def slots():
        return {get(address, source=f"127.0.0.{number + 1}").body for number in range(20)}
    assert slots() == {b"0\n", b"1\n"}
    for once in range(2):
        os.kill(pids["0"], signal.SIGUSR1)
        front.wait_for("accept: EINVAL", count=once + 1)
        assert slots() == {b"1\n"}
        os.kill(pids["0"], signal.SIGUSR2)
        wait_until(lambda: slots() == {b"0\n", b"1\n"}, "it listens again")


def test_a_client_that_closes_its_half_gets_its_answer(limpet):
    front = limpet([*PLAIN, f"127.0.0.1:{free_port()}"], workers=1)
    front.wait_ready(1)
    with Connection(front.address) as connection:
        connection.send(http_request("/"))
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.response().status == 200
        assert connection.ended()
