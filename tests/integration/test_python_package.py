"""The Python package (src/worker/python): blocking and asyncio workers, uvicorn and hypercorn, each behind limpet."""
import contextlib
import importlib.util
import json
import os
import shutil
import signal
import ssl
import subprocess

import pytest

from harness import paths
from harness.http import Connection, connect, get, request
from harness.sticky import by_cookie, check_sticky
from harness.wait import wait_until

PYTHON = "/usr/bin/python3"
PACKAGE = paths.ROOT / "src" / "worker" / "python"
WORKER = paths.TESTS / "workers" / "python_package.py"
ENVIRONMENT = {"PYTHONPATH": f"{PACKAGE}:{paths.APPS}", "PYTHONDONTWRITEBYTECODE": "1"}

RUNNERS = {
    "uvicorn": ["limpet.uvicorn"],
    "uvicorn, uvloop": ["limpet.uvicorn", "--loop", "uvloop"],
    "uvicorn, h11": ["limpet.uvicorn", "--loop", "asyncio", "--http", "h11"],
    "hypercorn": ["limpet.hypercorn"],
    "hypercorn, uvloop": ["limpet.hypercorn", "-k", "uvloop"],
}
NEEDS = {"uvloop": "uvloop", "uvicorn": "uvicorn", "hypercorn": "hypercorn", "wsproto": "wsproto"}
PLAIN = ["blocking", "iterate", "asyncio", "uvloop"]


def need(name):
    for word, module in NEEDS.items():
        if word in name and not importlib.util.find_spec(module):
            pytest.skip(f"{module} is not installed")


def command(name, *arguments):
    need(name)
    if name in RUNNERS:
        return [PYTHON, "-m", *RUNNERS[name], *arguments, "asgi_echo:app"]
    return [PYTHON, WORKER, name, *arguments]


def start(limpet, name, *arguments, env=(), **options):
    return limpet(command(name, *arguments), listen=options.pop("listen", "127.0.0.1:0"), protocol="limpet",
                  sticky=options.pop("sticky", "cookie:sid"), env={**ENVIRONMENT, **dict(env)}, **options)


def close_websocket(connection):
    """Politely: hypercorn of Debian 12 never ends one whose client has just gone."""
    connection.send_frame(b"\x03\xe8", opcode=8)
    assert connection.read_frame()[0] == 8


def slots(front):
    return next(iter(front.status()["pools"].values()))["slots"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    directory = tmp_path_factory.mktemp("certificate")
    key, cert = directory / "key.pem", directory / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=DNS:localhost"], check=True, capture_output=True)
    return {"KEY": str(key), "CERT": str(cert)}


# ---- connections ----

@pytest.mark.parametrize("name", [*PLAIN, *RUNNERS])
def test_sticky_by_cookie_with_one_killed_and_back(limpet, name):
    front = start(limpet, name, workers=4)
    check_sticky(front, by_cookie(front, "sid"), 4, keys=24)
    wait_until(lambda: all(slot["handed_off"] == slot["acknowledged"] for slot in slots(front)), "all acknowledged")
    assert front.status()["counters"]["worker_messages_skipped"] == 0


@pytest.mark.parametrize("name", PLAIN)
def test_what_limpet_says_of_a_client(limpet, name):
    config = {
        "listeners": {"edge": {"address": "127.0.0.1:0", "sticky": "ip", "proxy_protocol": True,
                               "trusted_proxies": ["127.0.0.0/8"]}},
        "pools": {"app": {"command": [str(word) for word in command(name)], "protocol": "limpet", "workers": 1}}}
    front = limpet(config=config, env=ENVIRONMENT)
    front.wait_ready(1)
    for line, client, address in (
            (b"TCP4 203.0.113.9 198.51.100.1 51123 80", "203.0.113.9:51123", ["203.0.113.9", 51123]),
            (b"TCP6 2001:db8::9 2001:db8::1 51123 80", "[2001:db8::9]:51123", ["2001:db8::9", 51123, 0, 0])):
        with Connection(front.address) as connection:
            connection.send(b"PROXY " + line + b"\r\n" + request())
            answer = connection.response().json()
        assert (answer["client"], answer["address"]) == (client, address)
        assert (answer["listener"], answer["key"]) == ("edge", "ip")


@pytest.mark.parametrize("name", RUNNERS)
def test_websockets_reach_the_worker_of_their_cookie(limpet, name):
    front = start(limpet, name, workers=4)
    front.wait_ready(4)
    for number in range(12):
        home = get(front.address, cookie=f"sid={number}").json()
        with Connection(front.address) as connection:
            assert connection.upgrade(cookie=f"sid={number}").status == 101
            said = connection.say("hello")
            assert (said["pid"], said["slot"], said["said"]) == (home["pid"], home["slot"], "hello")
            close_websocket(connection)


def test_tls_ends_in_an_asyncio_worker(limpet, certificate):
    front = start(limpet, "tls", workers=2, sticky="ip", env=certificate)
    front.wait_ready(2)
    context = ssl.create_default_context(cafile=certificate["CERT"])
    homes = {}
    for number in [*range(12)] * 2:
        source = f"127.0.0.{number + 1}"
        with Connection(context.wrap_socket(connect(front.address, source), server_hostname="localhost")) as connection:
            answer = connection.get()
            assert answer.status == 200
            assert homes.setdefault(number, answer.json()["pid"]) == answer.json()["pid"]
    assert len(set(homes.values())) == 2
    # A client that does not speak TLS is its own problem.
    with Connection(front.address) as connection:
        connection.send(request())
        connection.read_all()
    assert context.wrap_socket(connect(front.address), server_hostname="localhost").version()
    assert set(front.wait_ready(2).values()) == set(homes.values())


@pytest.mark.parametrize("name", ["uvicorn", "hypercorn"])
def test_tls_ends_in_a_runner(limpet, name, certificate):
    options = ["--ssl-keyfile", "--ssl-certfile"] if name == "uvicorn" else ["--keyfile", "--certfile"]
    front = start(limpet, name, options[0], certificate["KEY"], options[1], certificate["CERT"], workers=1, sticky="ip")
    front.wait_ready(1)
    context = ssl.create_default_context(cafile=certificate["CERT"])
    context.set_alpn_protocols(["http/1.1"])
    with Connection(context.wrap_socket(connect(front.address), server_hostname="localhost")) as connection:
        assert connection.get().json()["scheme"] == "https"


@pytest.mark.parametrize("name", ["blocking", "asyncio"])
def test_files_run_out(limpet, name):
    """A worker with few files refuses what it has no room for; the clients get their answers when it has."""
    front = start(limpet, name, "30", workers=1)
    front.wait_ready(1)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Connection(front.address)) for _ in range(40)]
        for client in clients:
            client.send(request(cookie="sid=1"))
        wait_until(lambda: front.status()["counters"]["refused"] >= 1, "a refusal")
        # Those that it has are served as ever.
        served = [client for client in clients[:8] if client.response().status == 200]
        assert len(served) == 8
        pid = front.wait_ready(1)["0"]
    answer = wait_until(lambda: (r := get(front.address)).status == 200 and r, "room again").json()
    assert answer["pid"] == pid


# ---- the end ----

@pytest.mark.parametrize("name", PLAIN)
def test_drained_it_finishes_what_it_has(limpet, name):
    front = start(limpet, name, workers=1)
    pid = front.wait_ready(1)["0"]
    with Connection(front.address) as connection:
        assert connection.get().status == 200
        front.ctl("restart")
        front.wait_replaced("0", pid)
        assert get(front.address).json()["pid"] != pid
        connection.send(b"still here\n")
        assert connection.read_until(b"\n") == b"still here"
        assert pid in front.pids()
    wait_until(lambda: pid not in front.pids(), "the old worker's end")


@pytest.mark.parametrize("name", RUNNERS)
def test_drained_a_runner_keeps_websockets_and_ends_the_rest(limpet, name, tmp_path):
    front = start(limpet, name, workers=1, env={"SLOW_UNTIL": str(tmp_path / "go")})
    pid = front.wait_ready(1)["0"]
    with Connection(front.address) as socket, Connection(front.address) as slow, Connection(front.address) as idle:
        assert socket.upgrade().status == 101
        assert idle.get().status == 200
        slow.send(request("/slow"))
        front.wait_for("slow request")
        front.ctl("restart")
        front.wait_replaced("0", pid)
        assert socket.say("one")["pid"] == pid
        (tmp_path / "go").touch()
        assert slow.response().json()["pid"] == pid
        # When kept-alive ones end under hypercorn is a matter of its version.
        if name.startswith("uvicorn"):
            assert idle.ended()
            assert slow.ended()
        assert socket.say("two")["pid"] == pid
        assert pid in front.pids()
        close_websocket(socket)
    front.wait_for("application shut down")
    wait_until(lambda: pid not in front.pids(), "the old worker's end")


@pytest.mark.parametrize("name", ["uvicorn", "hypercorn"])
def test_sigterm_ends_a_runner_though_a_websocket_is_open(limpet, name):
    front = start(limpet, name, workers=1)
    pid = front.wait_ready(1)["0"]
    with Connection(front.address) as socket:
        assert socket.upgrade().status == 101
        os.kill(pid, signal.SIGTERM)
        front.wait_for("application shut down")
        socket.read_all()
    front.wait_replaced("0", pid)
    assert get(front.address).status == 200


@pytest.mark.parametrize("name", ["blocking", "asyncio", "uvicorn", "hypercorn"])
def test_limpet_stops(limpet, name):
    front = start(limpet, name, workers=2)
    front.wait_ready(2)
    with Connection(front.address) as connection:
        assert connection.get(close=True).status == 200
    front.stop()


@pytest.mark.parametrize("name", ["blocking", "asyncio", "uvicorn", "hypercorn"])
def test_limpet_is_killed(limpet, name):
    """Workers get SIGTERM then; those that live on see the end of the channel. Nobody is left."""
    front = start(limpet, name, workers=2)
    front.wait_ready(2)
    os.kill(front.process.pid, signal.SIGKILL)
    wait_until(lambda: not front.pids(), "no process left")


# ---- external workers ----

@pytest.fixture
def external(tmp_path):
    """external(name, slot=None): starts it as somebody else than limpet would, for the pool at tmp_path/join."""
    processes = []

    def run(name, slot=None):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("LIMPET_")}
        environment.update(ENVIRONMENT, LIMPET_SOCKET=str(tmp_path / "join"), STATS='{"rooms": 12}')
        if slot is not None:
            environment["LIMPET_SLOT"] = slot
        processes.append(subprocess.Popen([str(word) for word in command(name)], env=environment))
        return processes[-1]
    yield run
    for process in processes:
        process.kill()
        process.wait(10)


def pool_for(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(range(32)))
    return {"hash_secret": str(tmp_path / "secret"), "listeners": {"web": {"address": "127.0.0.1:0", "sticky": {"cookie": "sid"}}},
            "pools": {"app": {"workers": 0, "slots": 3, "socket": str(tmp_path / "join"), "hold": "20s"}}}


def wait_joined(front, count):
    wait_until(lambda: sum(slot["state"] == "ready" for slot in slots(front)) == count, f"{count} external workers", 30)
    return {slot["slot"]: slot["pid"] for slot in slots(front) if slot["state"] == "ready"}


@pytest.mark.parametrize("name", ["blocking", "iterate", "asyncio", "uvloop", "uvicorn", "hypercorn"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_external_workers_join_the_next_limpet(limpet, external, name, number, tmp_path):
    """limpet is killed, or stops; its workers live, keep their clients, and have the same slots in the next one."""
    front = limpet(config=pool_for(tmp_path))
    front.wait_for("listening")
    for slot in (None, None, "2"):
        external(name, slot)
    places = wait_joined(front, 3)
    homes = {key: get(front.address, cookie=f"sid={key}").json()["pid"] for key in range(20)}
    assert set(homes.values()) == set(places.values())
    with Connection(front.address) as kept:
        pid = kept.get(cookie="sid=1").json()["pid"]
        os.kill(front.process.pid, number)
        front.wait()
        front = limpet(config=pool_for(tmp_path))
        front.wait_for("listening")
        assert wait_joined(front, 3) == places
        assert {key: get(front.address, cookie=f"sid={key}").json()["pid"] for key in range(20)} == homes
        if name in PLAIN:
            kept.send(b"still here\n")
            assert kept.read_until(b"\n") == b"still here"
        assert pid == homes[1]


@pytest.mark.parametrize("name", ["iterate", "asyncio"])
def test_external_workers_numbers_and_drain(limpet, external, name, tmp_path):
    front = limpet(config=pool_for(tmp_path))
    front.wait_for("listening")
    process = external(name, "1")
    wait_joined(front, 1)
    wait_until(lambda: slots(front)[1].get("values") == {"rooms": 12}, "its numbers")
    with Connection(front.address) as connection:
        assert connection.get().status == 200
        front.ctl("restart")
        wait_until(lambda: slots(front)[1]["state"] != "ready", "it is told")
        connection.send(b"still here\n")
        assert connection.read_until(b"\n") == b"still here"
        assert process.poll() is None
    assert process.wait(10) == 0


@pytest.mark.parametrize("name", ["iterate", "asyncio", "uvicorn", "hypercorn"])
def test_external_workers_that_are_refused_say_why(limpet, tmp_path, name):
    front = limpet(config=pool_for(tmp_path))
    front.wait_for("listening")
    done = subprocess.run([str(word) for word in command(name)], capture_output=True, text=True, timeout=30, check=False,
                          env={**os.environ, **ENVIRONMENT, "LIMPET_SOCKET": str(tmp_path / "join"), "LIMPET_SLOT": "9"})
    assert done.returncode not in (0, -signal.SIGTERM)
    assert "there is no slot 9" in done.stderr


# ---- misuse ----

MISUSES = {
    "no limpet": ({}, "set LIMPET_SOCKET"),
    "another protocol": ({"LIMPET_SLOT": "0"}, '"protocol": "limpet"'),
    "closed": ({"LIMPET_FD": "99"}, "let limpet run this program directly"),
    "not a number": ({"LIMPET_FD": "three"}, "leave it to limpet"),
    "not a socket": ({"LIMPET_FD": "1"}, "let limpet run this program directly"),
    "nobody there": ({"LIMPET_SOCKET": "/nonexistent/limpet.sock"}, "is limpet running"),
    "nobody there, abstract": ({"LIMPET_SOCKET": "@nobody-listens-here"}, "is limpet running"),
}


@pytest.mark.parametrize("misuse", MISUSES)
@pytest.mark.parametrize("name", ["iterate", "asyncio", "uvicorn", "hypercorn"])
def test_misuse_is_explained(name, misuse):
    given, said = MISUSES[misuse]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("LIMPET_")}
    done = subprocess.run([str(word) for word in command(name)], env={**environment, **ENVIRONMENT, **given},
                          capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode not in (0, -signal.SIGTERM)
    assert said in done.stderr, done.stderr
    if name in RUNNERS and "nobody" not in misuse:
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name,option,said", [
    ("uvicorn", ["--workers", "4"], '-n 4'), ("uvicorn", ["--reload"], "limpetctl restart"),
    ("hypercorn", ["-w", "4"], '-n 4'), ("hypercorn", ["--reload"], "limpetctl restart"),
    ("hypercorn", ["-k", "trio"], "asyncio or uvloop")])
def test_options_that_do_not_go_with_limpet(limpet, name, option, said):
    front = start(limpet, name, *option, workers=1)
    front.wait_for(said)


def test_one_process_has_one_channel(limpet, tmp_path):
    (tmp_path / "two.py").write_text("import limpet\nfirst = limpet.Listener()\nsecond = limpet.Listener()\n")
    front = limpet([PYTHON, tmp_path / "two.py"], listen="127.0.0.1:0", protocol="limpet", workers=1, env=ENVIRONMENT)
    front.wait_for("NoLimpet: this process has taken its channel to limpet already")


# ---- the package itself ----

@pytest.mark.skipif(not importlib.util.find_spec("pip") or not importlib.util.find_spec("setuptools"),
                    reason="pip or setuptools is not installed")
def test_pip_installs_it(limpet, tmp_path):
    # A copy: pip builds in the folder that it is given.
    shutil.copytree(PACKAGE, tmp_path / "python", ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    subprocess.run([PYTHON, "-m", "pip", "install", "--no-index", "--no-build-isolation", "--no-deps", "--no-warn-script-location",
                    "--target", tmp_path / "site", tmp_path / "python"], check=True, capture_output=True,
                   env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    here = {path.name for path in (PACKAGE / "limpet").iterdir() if path.is_file()}
    assert {path.name for path in (tmp_path / "site" / "limpet").iterdir() if path.is_file()} == here
    front = limpet([PYTHON, WORKER, "iterate"], listen="127.0.0.1:0", protocol="limpet", workers=1,
                   env={"PYTHONPATH": str(tmp_path / "site")})
    front.wait_ready(1)
    assert get(front.address).status == 200
