"""Clients that send their request heads slowly, or never."""
import contextlib
import resource
import socket
import time

import pytest

from harness.http import Connection
from harness.wait import wait_until


@pytest.fixture
def files():
    """Room for many connections in this process, and in limpet."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[1] < 11000:
        pytest.skip("the hard limit of open files is too low")
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def slow_clients(address, count, first=b"GET / HTTP/1.1\r\nHost: "):
    clients = []
    for number in range(count):
        client = socket.socket()
        client.bind((f"127.2.{number // 250}.{number % 250 + 1}", 0))
        client.connect(address)
        client.sendall(first)
        clients.append(client)
    return clients


def test_ten_thousand_of_them_stop_nobody(scene, files):
    play = scene(workers=2, sticky=[{"cookie": "sid"}], listener={"head_timeout": "5m", "max_waiting": 20000})
    before = play.files()
    clients = slow_clients(play.address, 10000)
    play.wait_counter("accepted", 10000)
    slowest = 0.0
    for number in range(50):
        begin = time.monotonic()
        play.get()
        slowest = max(slowest, time.monotonic() - begin)
        for client in clients[number::1000]:
            client.send(b"x")
    assert slowest < 1.0, slowest
    for client in clients:
        client.close()
    play.wait_counter("closed_by_client", 10000, 30)
    play.account()
    play.wait_files(before)


def test_ten_thousand_and_a_reload(scene, files):
    """All of them go to the new router, and can still finish."""
    play = scene(workers=2, sticky=[{"cookie": "sid"}], listener={"head_timeout": "5m", "max_waiting": 20000})
    clients = slow_clients(play.address, 10000)
    play.wait_counter("accepted", 10000)
    halves = [play.half() for _ in range(50)]
    play.wait_counter("accepted", 10050)
    old = play.router()
    begin = time.monotonic()
    assert "done" in play.control("reload")
    asked = play.ask()
    asked.answer()
    print(f"served {time.monotonic() - begin:.3f} s after a reload with 10,000 open heads")
    wait_until(lambda: old not in play.front.pids("limpet-router"), "the old router's end")
    for half in halves:
        half.finish()
        half.answer()
    for client in clients:
        client.close()
    play.wait_counter("closed_by_client", 10000, 30)
    play.account()


def test_head_timeout_is_total(scene):
    """A byte now and then buys no time."""
    play = scene(workers=1, sticky=[{"cookie": "sid"}], listener={"head_timeout": "1s"})
    begin = time.monotonic()
    with Connection(play.address) as connection:
        connection.send(b"GET / HTTP/1.1\r\nX: ")
        connection.socket.settimeout(0.05)
        while time.monotonic() - begin < 5:
            try:
                connection.more()
                break
            except TimeoutError:
                connection.send(b"x")
        elapsed = time.monotonic() - begin
        connection.socket.settimeout(5)
        assert connection.response().status == 408
    assert 0.9 < elapsed < 3
    assert play.counter("head_timeout") == 1


def test_the_oldest_makes_room(scene):
    play = scene(workers=1, sticky=[{"cookie": "sid"}], listener={"head_timeout": "5m", "max_waiting": 100})
    before = play.files()
    clients = slow_clients(play.address, 100)
    play.wait_counter("accepted", 100)
    # These stay for good, and each takes the place of one.
    newer = slow_clients(play.address, 10)
    play.wait_counter("evicted", 10)
    for client in clients[:10]:
        client.settimeout(10)
        with contextlib.suppress(ConnectionResetError):
            while client.recv(4096):
                pass
    # A normal client takes the place of one more, for a moment.
    for _ in range(10):
        play.get()
    assert play.counter("evicted") == 11
    with pytest.raises(BlockingIOError):
        clients[11].recv(1, socket.MSG_DONTWAIT)
    for client in [*clients, *newer]:
        client.close()
    play.account()
    play.wait_files(before)
