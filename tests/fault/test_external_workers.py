"""External workers when something dies, and those at a pool's socket who mean no good."""
import json
import os
import signal
import socket
import threading

import pytest

from harness.external import hello
from harness.wait import wait_until


def test_the_front_is_killed(externals, limpet):
    """They are not its children: they live on with their clients, and join the next one in their slots."""
    play, workers = externals(slots=2)
    for slot in "01":
        workers.joined(slot)
    pids = {process.pid for process in workers.processes}
    with play.load(concurrency=4, pinned=10, seconds=2) as load:
        wait_until(lambda: load.open == 10, "pinned connections")
        os.kill(play.front.process.pid, signal.SIGKILL)
        play.front.process.wait(10)
        host, port = play.address
        wait_until(lambda: not play.front.pids(), "no process of limpet's left")
        play.config["listeners"]["web"]["address"] = f"{host}:{port}"
        play.front = limpet(config=play.config)
        assert [workers.told(process).slot for process in workers.processes] == ["0", "1"]
        assert load.open == 10
    assert not load.broken
    assert {play.get(f"127.0.8.{n}")["pid"] for n in range(1, 30)} == pids


def test_the_router_is_killed(externals):
    """The supervisor has their channels: they notice nothing."""
    play, workers = externals(slots=2)
    told = [workers.joined("0"), workers.joined("1")]
    for _ in range(5):
        old = play.router()
        play.get()
        os.kill(old, signal.SIGKILL)
        wait_until(lambda: play.router() != old, "another router")
        play.get()
    assert {slot["pid"] for slot in play.pool()["slots"]} == {worker.pid for worker in told}
    assert play.counter("external_joined") == 2
    play.account()


def test_reload_and_upgrade_under_load(externals):
    play, workers = externals(slots=3)
    pids = [workers.joined(slot).pid for slot in "012"]
    with play.load(concurrency=6, pinned=12) as load:
        wait_until(lambda: load.open == 12, "pinned connections")
        for round_ in range(6):
            old = play.router()
            play.front.send_signal(signal.SIGUSR2 if round_ % 2 else signal.SIGHUP)
            wait_until(lambda: old not in play.front.pids("limpet-router") and play.router() != old,
                       f"another router; log:\n{play.front.text()}", 30)
        served = load.served
        wait_until(lambda: load.served > served + 20, "load goes on")
        assert load.open == 12
    play.account(load)
    assert [slot["pid"] for slot in play.pool()["slots"]] == pids
    assert play.counter("external_joined") == 3
    # The socket is the same, too, and what the new binary knows of them is enough to see one go.
    os.kill(pids[0], signal.SIGKILL)
    play.wait_slot("0", state="free")
    workers.joined("0")


def test_killed_with_hand_offs_under_way(externals):
    """What it has not acknowledged another one gets, once."""
    play, workers = externals(slots=2)
    first, second = workers.joined("0"), workers.joined("1")
    source = play.source("0")
    first.acknowledge(how="never")
    asked = [play.ask(source) for _ in range(5)]
    wait_until(lambda: first.report()["kept"] == 5, "hand-offs")
    first.signal(signal.SIGKILL)
    assert {one.answer()["pid"] for one in asked} == {second.pid}
    play.account()


def test_one_that_closes_its_channel_and_lives(externals):
    """Nobody can take from it any more what was sent: that counts as refused. What it has acknowledged it keeps."""
    play, workers = externals(slots=2)
    first, second = workers.joined("0"), workers.joined("1")
    source = play.source("0")
    first.stop_reading()
    asked = [play.ask(source) for _ in range(5)]
    play.wait_slot("0", unacknowledged=5)
    first.tell(do="close_channel_only")
    assert {one.answer()["pid"] for one in asked} == {second.pid}
    play.wait_slot("0", state="free")
    assert first.report()["got"] >= 1
    play.account()


def test_one_that_only_stops_to_speak(externals):
    """It could still read what was sent: as long as it can, nobody else gets it."""
    play, workers = externals(slots=2, kill_timeout="1m")
    first, second = workers.joined("0"), workers.joined("1")
    source = play.source("0")
    first.stop_reading()
    asked = [play.ask(source) for _ in range(3)]
    play.wait_slot("0", unacknowledged=3)
    first.tell(do="shut_down_sending")
    wait_until(lambda: play.counter("worker_channels_failed") == 1, "the channel is lost")
    assert play.slot("0")["unacknowledged"] == 3
    assert play.counter("redispatched") == 0
    first.tell(do="close_channel_only")
    assert {one.answer()["pid"] for one in asked} == {second.pid}
    play.account()


def test_stopped_ones_lose_their_clients_for_a_while(externals):
    play, workers = externals(slots=2, stuck_timeout="300ms")
    first, second = workers.joined("0"), workers.joined("1")
    source = play.source("0")
    first.signal(signal.SIGSTOP)
    stuck = play.ask(source)
    wait_until(lambda: play.counter("workers_stuck") == 1, "found stuck")
    assert play.get(source)["pid"] == second.pid
    first.signal(signal.SIGCONT)
    assert stuck.answer()["pid"] == first.pid
    wait_until(lambda: play.get(source)["pid"] == first.pid, "it has its clients back")
    play.account()


def test_never_ready(externals):
    """It does not keep its slot from others for ever."""
    play, workers = externals(slots=1, start_timeout="300ms")
    answer, connection = workers.ask(hello())
    assert answer["type"] == "welcome"
    assert connection.recv(100) == b""
    wait_until(lambda: play.slot("0")["state"] == "free", "the slot is free")
    workers.joined("0")


def test_starting_while_the_router_is_killed(externals):
    """Its ready may have been lost: it is to join again."""
    play, workers = externals(slots=1)
    answer, connection = workers.ask(hello())
    assert answer["type"] == "welcome"
    os.kill(play.router(), signal.SIGKILL)
    assert connection.recv(100) == b""
    workers.joined("0")


# ---- at the socket ----

def test_who_says_nothing_keeps_nobody_out(externals):
    play, workers = externals(slots=1)
    before = play.front.open_files(play.front.process.pid)
    silent = [workers.connect() for _ in range(200)]
    workers.joined()
    assert play.front.open_files(play.front.process.pid) < before + 80
    assert play.counter("external_silent") >= 130
    for connection in silent:
        connection.close()
    wait_until(lambda: play.front.open_files(play.front.process.pid) <= before + 2, "files closed")


def test_a_hello_has_its_time(externals):
    play, workers = externals(slots=1)
    with workers.connect() as connection:
        connection.settimeout(20)
        assert connection.recv(100) == b""
    assert play.counter("external_silent") == 1


BAD = [b"", b"{", b"[]", b"7", b"null", b"\xff\xfe", b"[" * 8000, b'{"type":"hello"', b'{"type":"hello","version":1e0}',
       b'{"type":"hello","version":1,"slot":7}', b'{"type":"hello","version":1,"slot":""}',
       b'{"type":"hello","version":1,"slot":"' + b"x" * 65 + b'"}', b'{"type":"hello","version":1,"slot":"0\\u0000"}',
       b'{"type":"hello","version":1,"pool":{}}', b'{"type":"hello","version":1,"capabilities":"all"}',
       b'{"type":"hello","version":1,"capabilities":' + json.dumps(["x"] * 17).encode() + b"}",
       b'{"type":"hello","version":1,"capabilities":["' + b"x" * 33 + b'"]}',
       b'{"type":"hello","version":1,"protocol":1}', b'{"type":"hello","version":1,"protocol":"node-ipc"}',
       b'{"type":"hello","version":1,"flavour":"socket.io"}', b'{"type":"hello","version":1,"ready":1}',
       b'{"type":"hello","version":1,"ready":true}', b'{"type":"hello","version":99999999999999999999}', b"x" * 9000, b"y" * 100000]


def test_bad_hellos(externals):
    play, workers = externals(slots=1)
    before = play.front.open_files(play.front.process.pid)
    for data in BAD:
        with workers.connect() as connection:
            connection.send(data)
            answer = connection.recv(8192)
            assert not answer or json.loads(answer)["type"] == "bye", data
    wait_until(lambda: play.counter("external_refused") + play.counter("external_silent") == len(BAD), "all refused")
    assert play.front.text().count("asked to join and was refused") < 5
    assert play.front.open_files(play.front.process.pid) <= before
    workers.joined()
    assert play.get()


def test_files_that_are_no_channels(externals):
    """Whatever comes with a hello: it is refused, and closed."""
    play, workers = externals(slots=1)
    before = play.front.open_files(play.front.process.pid)
    stream, packets = socket.socketpair(), socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    alone, tcp = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET), socket.socket()
    listening = workers.connect()
    null = os.open("/dev/null", os.O_RDWR)
    cases = [("limpet", stream[0].fileno()), ("node-cluster", packets[0].fileno()), ("accept", alone.fileno()),
             ("accept", tcp.fileno()), ("limpet", null)]
    for protocol, fd in cases:
        answer, connection = workers.ask(hello(protocol=protocol), [fd])
        assert answer["type"] == "bye"
        connection.close()
    answer, connection = workers.ask(hello(), [null] * 200)
    assert answer["type"] == "bye"
    connection.close()
    listening.close()
    wait_until(lambda: play.front.open_files(play.front.process.pid) <= before, "files closed")
    for one in (*stream, *packets, alone, tcp):
        one.close()
    os.close(null)


def test_a_storm_at_the_socket(externals):
    """Clients are served meanwhile, and honest workers get in."""
    play, workers = externals(slots=2)
    workers.joined("0")
    calm = threading.Event()

    def storm():
        while not calm.is_set():
            try:
                with workers.connect() as connection:
                    connection.send(os.urandom(64))
            except OSError:
                pass

    threads = [threading.Thread(target=storm) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        with play.load(concurrency=4, seconds=2) as load:
            workers.joined("1")
    finally:
        calm.set()
        for thread in threads:
            thread.join()
    play.account(load)
    assert play.counter("external_refused") > 0


@pytest.mark.parametrize("what", ["pongs", "unknown", "garbage", "nested", "fds", "pings", "stats"])
def test_floods_of_those_who_joined(externals, what):
    """A worker that floods its channel is no worse because it is external."""
    play, workers = externals(slots=2)
    first, second = workers.joined("0"), workers.joined("1")
    source = play.source("1")
    first.flood(what=what)
    for _ in range(10):
        assert play.get(source)["pid"] == second.pid
    first.calm()
    play.account()


def test_another_version_after_the_welcome(externals):
    play, workers = externals(slots=1)
    answer, connection = workers.ask(hello())
    assert answer["type"] == "welcome"
    connection.send(json.dumps(hello(version=9)).encode())
    assert connection.recv(100) == b""
    wait_until(lambda: play.slot("0")["state"] == "free", "the slot is free")
    connection.close()
