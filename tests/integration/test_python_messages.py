"""The Python package against fronts that keep to nothing: over socket pairs, in one process."""
import asyncio
import contextlib
import json
import os
import select
import socket
import sys
import threading

import pytest

from harness import paths

sys.path.insert(0, str(paths.ROOT / "src" / "worker" / "python"))

import limpet  # noqa: E402
import limpet.asyncio  # noqa: E402
from limpet import channel as channels  # noqa: E402
from limpet import messages  # noqa: E402
from limpet.channel import Channel, Seen  # noqa: E402

GOOD = {
    b'{"type":"drain"}': messages.Drain(),
    b' {"type": "ping", "id": 0, "more": [1]} ': messages.Ping(0),
    b'{"type":"ping","id":2147483647}': messages.Ping(2**31 - 1),
    b'{"type":"connection","id":7,"listener":"web","client":"203.0.113.9:51123","key":"cookie"}':
        messages.Details(7, "web", "203.0.113.9:51123", "cookie"),
    b'{"type":"connection","id":7,"listener":5,"client":null}': messages.Details(7, "", "", ""),
    b'{"type":"welcome","version":1,"pool":"chat","slot":"2"}': messages.Welcome("chat", "2"),
    b'{"type":"bye"}': messages.Bye(""),
}

BAD = [
    b"", b"null", b"[]", b'"connection"', b"{", b"\xff\xfe", b'{"type":5}', b'{"type":["drain"]}', b"{}", b'{"type":"unknown"}',
    b'{"type":"ping"}', b'{"type":"ping","id":true}', b'{"type":"ping","id":-1}', b'{"type":"ping","id":2147483648}',
    b'{"type":"ping","id":1.0}', b'{"type":"ping","id":"1"}', b'{"type":"ping","id":' + b"9" * 8000 + b"}",
    b'{"type":"connection","id":null}', b"[" * 8192, b'{"a":' * 1600, b'{"type":"ping","id":NaN}', b"\0" * 100,
]

ADDRESSES = {
    "203.0.113.9:51123": ("203.0.113.9", 51123), "[2001:db8::1]:0": ("2001:db8::1", 0, 0, 0), "unix:/run/x:1": "/run/x:1",
    "unix:": "", "": "", "203.0.113.9": "", "203.0.113.9:": "", "x:123456": "", "x:\u0663": "", "x:-1": "",
}


@pytest.mark.parametrize("data", GOOD)
def test_good_messages(data):
    assert messages.parse(data) == GOOD[data]


@pytest.mark.parametrize("data", BAD, ids=lambda data: repr(data[:20]))
def test_bad_messages_are_skipped(data):
    assert messages.parse(data) is None


@pytest.mark.parametrize("text", ADDRESSES)
def test_addresses(text):
    assert messages.Details(0, "", text, "").address == ADDRESSES[text]


def test_nothing_too_long_is_sent():
    assert len(messages.build("hello", pool="x" * 8000)) < 8192
    with pytest.raises(ValueError):
        messages.build("hello", pool="x" * 8192)


@pytest.fixture
def front():
    """(the front's end, Channel)"""
    ours, workers = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(10)
    channel = Channel(workers)
    with ours, contextlib.closing(channel):
        yield ours, channel


def send(front, message, *sockets):
    data = message if isinstance(message, bytes) else json.dumps(message).encode()
    socket.send_fds(front, [data], [each.fileno() for each in sockets])


def answers(front):
    found = []
    while select.select([front], [], [], 0)[0]:
        found.append(json.loads(front.recv(8192)))
    return found


def open_files():
    return len(os.listdir("/proc/self/fd"))


def test_a_connection(front):
    ours, channel = front
    with socket.socket() as client:
        send(ours, {"type": "connection", "id": 7, "client": "127.0.0.1:5"}, client)
        connection = channel.receive()
        with connection:
            assert os.path.sameopenfile(connection.fileno(), client.fileno())
            assert not connection.get_inheritable() and connection.gettimeout() is None
            assert connection.limpet.address == ("127.0.0.1", 5)
            assert channel.acknowledge(connection)
    assert answers(ours) == [{"type": "ack", "id": 7}]
    assert channel.receive() is Seen.NOTHING


def test_descriptors_that_nobody_asked_for(front, tmp_path):
    """None is kept; a connection has exactly one, and that is a socket."""
    ours, channel = front
    before = open_files()
    with socket.socket() as one, socket.socket() as two, open(tmp_path / "file", "w") as file:
        send(ours, {"type": "drain"}, one, two)
        send(ours, b"nonsense", one)
        send(ours, {"type": "connection", "id": -1}, one)
        send(ours, {"type": "connection", "id": 1})
        send(ours, {"type": "connection", "id": 2}, one, two)
        send(ours, {"type": "connection", "id": 3}, file)
        send(ours, b"", one)
        seen = [channel.receive() for _ in range(7)]
    assert seen == [Seen.DRAIN, *[Seen.HANDLED] * 6]
    assert answers(ours) == [{"type": "refuse", "id": number} for number in (1, 2, 3)]
    assert (channel.refused, channel.skipped) == (3, 3)
    assert open_files() == before


def test_datagrams_that_are_too_long(front):
    ours, channel = front
    before = open_files()
    with socket.socket() as one:
        send(ours, b'{"type":"drain"}' + b" " * 8192)
        send(ours, b'{"type":"connection","id":1}' + b" " * 8192, one)
    assert [channel.receive(), channel.receive()] == [Seen.HANDLED, Seen.HANDLED]
    assert channel.skipped == 2
    assert open_files() == before


def test_its_end(front):
    ours, channel = front
    channel.say("ready")
    send(ours, {"type": "ping", "id": 5})
    ours.close()  # with a message unread: the kernel says "reset" first
    seen = set()
    with pytest.raises(limpet.ChannelEnded):
        for _ in range(5):
            seen.add(channel.receive())
    assert seen == {Seen.HANDLED}
    with pytest.raises(limpet.ChannelEnded):
        channel.say("pong", id=5)


def test_a_front_that_reads_nothing(front):
    """What cannot be sent is kept, in order; however many connections end, that is one message."""
    ours, channel = front
    number = 0
    while channel.say("ack", id=number):
        number += 1
    assert number > 64
    for _ in range(1000):
        channel.count_closed()
    got = []
    while not channel.flush():
        got += answers(ours)
    got += answers(ours)
    assert got == [{"type": "ack", "id": each} for each in range(number + 1)] + [{"type": "closed", "count": 1000}]


@pytest.mark.parametrize("values", [{"Rooms": 1}, {"": 1}, {"x" * 33: 1}, {"x": float("nan")}, {"x": float("inf")}])
def test_numbers_that_limpet_does_not_take(front, values):
    with pytest.raises(ValueError):
        front[1].tell(values)


def test_retries_grow_and_have_a_bound():
    delays = [delay for delay, _ in zip(channels.retries(), range(40))]
    assert all(0.05 <= delay <= 30 for delay in delays) and delays[0] <= 0.1 and min(delays[12:]) >= 15
    assert len(set(delays)) > 30


# ---- a front at a socket where workers join ----

class Front:
    """Lets workers in, or does to them what a test wants."""

    def __init__(self, name):
        self.listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listening.bind("\0" + name)
        self.listening.listen()
        self.listening.settimeout(10)

    def accept(self, answer=None):
        worker, _ = self.listening.accept()
        worker.settimeout(10)
        hello = json.loads(worker.recv(8192))
        assert (hello["type"], hello["version"]) == ("hello", 1)
        send(worker, answer or {"type": "welcome", "version": 1, "pool": "app", "slot": hello.get("slot") or "4"})
        return worker, hello

    def next(self, worker, *kinds):
        message = json.loads(worker.recv(8192))
        assert message["type"] in kinds, message
        return message


@pytest.fixture
def place():
    name = f"limpet-test-{os.getpid()}-{os.urandom(4).hex()}"
    front = Front(name)
    with front.listening:
        yield front, "@" + name


def in_thread(function, *arguments):
    thread = threading.Thread(target=function, args=arguments, daemon=True)
    thread.start()
    return thread


def hand_over(worker, number):
    """A connection sent to the worker; returns the client's end."""
    client, served = socket.socketpair()
    client.settimeout(10)
    with served:
        send(worker, {"type": "connection", "id": number, "client": "127.0.0.1:5"}, served)
    return client


def blocking_worker(path):
    with limpet.Listener(path, "app") as listener:
        for connection, _ in listener:
            with connection:
                connection.sendall(b"x" + connection.recv(100))


def asyncio_worker(path):
    async def handler(reader, writer):
        writer.write(b"x" + await reader.read(100))
        writer.close()
    asyncio.run(limpet.asyncio.serve(handler, socket=path, pool="app"))


WORKERS = pytest.mark.parametrize("worker", [blocking_worker, asyncio_worker])


@WORKERS
def test_join_and_join_again(place, worker):
    """limpet chooses the slot, and is asked for it again; the end of a channel, and a bye, are no end of the worker."""
    front, path = place
    running = in_thread(worker, path)
    for attempt in range(3):
        channel, hello = front.accept()
        with channel:
            assert (hello["pool"], hello.get("slot")) == ("app", None if attempt == 0 else "4")
            front.next(channel, "ready")
            with hand_over(channel, attempt) as client:
                assert front.next(channel, "ack")["id"] == attempt
                client.sendall(b"hello")
                assert client.recv(100) == b"xhello"
            assert front.next(channel, "closed")["count"] == 1
            if attempt == 1:
                send(channel, {"type": "bye", "reason": "limpet is stopping"})
            if attempt == 2:
                send(channel, {"type": "drain"})
                running.join(10)
    assert not running.is_alive()


@WORKERS
def test_a_slot_that_is_taken_meanwhile(place, worker):
    front, path = place
    running = in_thread(worker, path)
    front.accept()[0].close()
    channel, hello = front.accept({"type": "bye", "reason": "slot 4 is taken"})
    channel.close()
    assert hello["slot"] == "4"
    channel, hello = front.accept()
    assert "slot" not in hello
    send(channel, {"type": "drain"})
    running.join(10)
    channel.close()
    assert not running.is_alive()


@WORKERS
def test_refused(place, worker):
    front, path = place
    errors = []

    def run():
        try:
            worker(path)
        except limpet.Refused as error:
            errors.append(str(error))
    running = in_thread(run)
    front.accept({"type": "bye", "reason": "this user may not join"})[0].close()
    running.join(10)
    assert errors == ["limpet ends the channel: this user may not join"]


@WORKERS
def test_an_acknowledgement_that_cannot_be_sent(place, worker):
    """The front is gone before it heard of it: somebody else may have the connection, and not a byte of it is read."""
    front, path = place
    in_thread(worker, path)
    channel, _ = front.accept()
    front.next(channel, "ready")
    client, served = socket.socketpair()
    with client, served:
        served.setblocking(False)
        client.sendall(b"first byte")
        channel.shutdown(socket.SHUT_RD)
        send(channel, {"type": "connection", "id": 1}, served)
        channel, _ = front.accept()
        front.next(channel, "ready")
        assert served.recv(100) == b"first byte"
        send(channel, {"type": "drain"})
        channel.close()


def test_close_wakes_accept_and_refuses_the_rest(place, one_cpu):
    """On one CPU whoever gives a lock up may have it again before another is awake."""
    front, path = place
    ended = []
    joined = in_thread(lambda: ended.append(limpet.Listener(path, "app")))
    channel, _ = front.accept()
    joined.join(10)
    listener = ended.pop()
    with pytest.raises(TimeoutError):
        listener.accept(timeout=0.01)

    taken = []

    def wait():
        with contextlib.suppress(limpet.Drained):
            while True:
                taken.append(listener.accept()[0])
    waiting = [in_thread(wait) for _ in range(3)]
    front.next(channel, "ready")
    client = hand_over(channel, 1)
    front.next(channel, "ack")
    listener.close()
    for thread in waiting:
        thread.join(10)
        assert not thread.is_alive()
    with pytest.raises(limpet.Drained):
        listener.accept()
    front.next(channel, "bye")
    # While the one that it took is open, the channel is, and is answered.
    late = hand_over(channel, 2)
    assert front.next(channel, "refuse")["id"] == 2
    send(channel, {"type": "ping", "id": 3})
    assert front.next(channel, "pong")["id"] == 3
    taken.pop().close()
    assert front.next(channel, "closed")["count"] == 1
    assert channel.recv(100) == b""
    client.close()
    late.close()
