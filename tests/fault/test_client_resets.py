"""Clients that reset or end their connection before, during and after the hand-off."""
import signal
import socket
import struct

import pytest

from harness.http import Connection, request
from harness.wait import wait_until


def reset(connection):
    """Closes with a reset."""
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def end(connection):
    connection.close()


@pytest.mark.parametrize("leave", [reset, end])
def test_before_the_hand_off(scene, leave):
    """With no byte sent, within the request head, and as soon as it is connected."""
    play = scene(workers=2, sticky=[{"cookie": "sid"}])
    play.get()
    before = play.files()
    for sent in (b"", b"G", request("/1")[:-2]):
        accepted, closed = play.counter("accepted"), play.counter("closed_by_client")
        connections = [Connection(play.address, f"127.0.5.{number}") for number in range(1, 51)]
        for connection in connections:
            connection.send(sent)
        play.wait_counter("accepted", accepted + 50)
        for connection in connections:
            leave(connection)
        play.wait_counter("closed_by_client", closed + 50)
    # A reset may take a connection out of the backlog before it is accepted.
    for _ in range(200):
        leave(Connection(play.address))
    for _ in range(200):
        connection = Connection(play.address)
        connection.send(b"GET / HT")
        leave(connection)
    play.get()
    play.account()
    play.wait_files(before)


@pytest.mark.parametrize("leave", [reset, end])
def test_during_the_hand_off(scene, leave):
    """While it is held, queued, or in the channel of a worker that is stopped."""
    play = scene(workers=2, window=8, queue=100)
    home = play.worker("0")
    source = play.source("0")
    before = play.files()
    home.signal(signal.SIGSTOP)
    leaving = [play.ask(source) for _ in range(8)]
    play.wait_slot("0", unacknowledged=8)
    leaving += [play.ask(source) for _ in range(20)]
    play.wait_slot("0", unacknowledged=8, waiting=20)
    staying = play.ask(source)
    for one in leaving:
        leave(one.connection)
        play.asked.remove(one.number)  # it may be served, or not: nobody is there to know
    home.signal(signal.SIGCONT)
    assert staying.answer()["pid"] == home.pid
    wait_until(lambda: home.report()["clients"] == 0, "no client left")
    play.account()
    play.wait_files(before)


@pytest.mark.parametrize("leave", [reset, end])
def test_after_the_hand_off(scene, leave):
    play = scene(workers=2)
    before = play.files()
    pinned = [play.ask(f"127.0.5.{number}", path="/pin/{}").connection for number in range(1, 51)]
    for connection in pinned:
        connection.response()
    for connection in pinned:
        leave(connection)
    for slot in "01":
        wait_until(lambda slot=slot: play.worker(slot).report()["clients"] == 0, "no client left")
    play.get()
    play.account()
    play.wait_files(before)


def test_a_client_that_has_said_all_is_served(scene):
    """Half-closed behind its request, before it is accepted, while its head is read, and while it waits."""
    for sticky in ("ip", [{"cookie": "sid"}]):
        play = scene(workers=1, window=1, sticky=sticky)
        home = play.worker("0")
        before = play.files()
        for _ in range(20):
            one = play.ask()
            one.connection.socket.shutdown(socket.SHUT_WR)
            one.answer()
        half = play.half()
        half.finish()
        half.connection.socket.shutdown(socket.SHUT_WR)
        half.answer()
        home.acknowledge(how="never")
        first = play.ask()
        play.wait_slot("0", unacknowledged=1)
        queued = [play.ask() for _ in range(5)]
        for one in queued:
            one.connection.socket.shutdown(socket.SHUT_WR)
        play.wait_slot("0", unacknowledged=1, waiting=5)
        home.acknowledge(how="at once")
        for one in [first, *queued]:
            one.answer()
        play.account()
        play.wait_files(before)
        play.front.stop()
        (play.directory / "journal").unlink()


def test_a_client_that_half_closes_within_its_head_gets_nothing(scene):
    play = scene(workers=1, sticky=[{"cookie": "sid"}])
    half = play.half()
    half.connection.socket.shutdown(socket.SHUT_WR)
    assert half.connection.ended()
    half.connection.close()
    play.get()
    play.account(unserved=[half.number])


def test_under_load(scene):
    """Hundreds of clients that leave at any moment, among others that stay."""
    play = scene(workers=2, sticky=[{"cookie": "sid"}])
    before = play.files()
    text = request("/0", cookie="sid=x")
    with play.load(concurrency=4, pinned=10) as load:
        wait_until(lambda: load.open == 10, "pinned connections")
        for number in range(600):
            connection = Connection(play.address, f"127.0.6.{number % 200 + 1}")
            connection.send(text[:number % len(text)])
            (reset if number % 3 else end)(connection)
    play.account(load)
    play.wait_files(before)
