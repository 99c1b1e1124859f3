"""The demo worker, with the test playing limpet: it passes sockets over the channel and reads the worker's messages."""
import json
import os
import signal
import socket

import pytest

import harness.front
from harness import paths
from harness.http import Connection, frame, request
from harness.wait import wait_until

pytestmark = pytest.mark.skipif(not paths.demo_worker().exists(), reason="built without the demo")


class Front(harness.front.Front):
    def __init__(self, slot="2"):
        super().__init__([paths.demo_worker()], slot)


@pytest.fixture
def front():
    front = Front()
    assert front.read() == {"type": "hello", "version": 1, "pool": "demo", "slot": "2", "capabilities": ["stats"]}
    assert front.read() == {"type": "ready"}
    yield front
    stderr = front.end()
    assert front.worker.returncode == 0, stderr


def test_page_names_the_slot_and_has_no_outside_resources(front):
    with front.connect() as client:
        response = client.get("/?sid=1")
        assert response.status == 200
        page = response.body.decode()
        about = json.loads(page.split('id="about">')[1].split("</script>")[0])
        assert (about["slot"], about["generation"], about["pid"], about["key"]) == ("2", "3", front.worker.pid, "cookie")
        assert "@ABOUT@" not in page and "src=" not in page and "https:" not in page
        assert response.headers["cache-control"] == "no-store"


def test_a_slot_name_cannot_leave_the_script_element():
    front = Front(slot="</script><script>alert(1)//")
    front.read(), front.read()
    with front.connect() as client:
        page = client.get("/").body
    assert b"alert(1)" in page and b"</script><script>alert" not in page
    front.worker.terminate()
    assert front.worker.wait(10) == 0


def test_status(front):
    with front.connect("ip") as client:
        status = client.get("/status.json").json()
        name, port = client.socket.getsockname()
        assert status == {"pool": "demo", "slot": "2", "pid": front.worker.pid, "generation": "3", "key": "ip",
                          "client": f"{name}:{port}", "connections": 1}


def test_many_requests_on_one_connection_also_pipelined_and_with_bodies(front):
    with front.connect() as client:
        for _ in range(30):
            assert client.get("/status.json").status == 200
        client.send(request("/status.json") * 40 + request("/nothing") + request("/status.json", method="HEAD"))
        assert [client.response().status for _ in range(41)] == [200] * 40 + [404]
        assert client.response(head_only=True).status == 200
        body = b"GET / HTTP/1.1\r\n\r\n" * 20000
        client.send(request("/status.json", method="POST", body=body) + request("/nothing"))
        assert [client.response().status for _ in range(2)] == [200, 404]
        client.send(b"POST /nothing HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
                    + request("/status.json"))
        assert [client.response().status for _ in range(2)] == [404, 200]
    front.wait_closed(1)


def test_a_head_in_single_bytes(front):
    with front.connect() as client:
        for byte in request("/status.json"):
            client.send(bytes([byte]))
        assert client.response().status == 200


def test_http_1_0_and_close_end_the_connection(front):
    for data in (b"GET / HTTP/1.0\r\n\r\n", request("/", close=True)):
        with front.connect() as client:
            client.send(data)
            assert client.response().status == 200
            assert client.ended()
    front.wait_closed(2)


def test_another_cookie_is_sent_round_again_on_a_new_connection(front):
    with front.connect() as client:
        assert client.get("/", cookie="a=1; demo=first").status == 200
        assert client.get("/", cookie="demo=first; b=2").status == 200
        response = client.get("/?x=1", cookie="demo=second")
        assert (response.status, response.headers["location"], response.headers["connection"]) == (307, "/?x=1", "close")
        assert client.ended()
    with front.connect() as client:
        assert client.get("/?x=1", cookie="demo=second").status == 200
        assert client.get("/?sid=7", cookie="demo=second").status == 307


def test_websocket_echo(front):
    with front.connect() as client:
        assert client.upgrade("/ws").status == 101
        for text in ("hello", "Grüße 🐚", 'quote " and \\', "nul \0", "x" * 60000):
            answer = client.say(text)
            assert (answer["slot"], answer["pid"], answer["echo"]) == ("2", front.worker.pid, text)
        client.send_frame(b"\x00\xff", opcode=2)
        assert json.loads(client.read_frame()[1])["bytes"] == 2
        client.send_frame(b"are you", opcode=9)
        assert client.read_frame() == (10, b"are you")
        client.send_frame(b"two ", final=False)
        client.send_frame(b"parts", opcode=0)
        assert json.loads(client.read_frame()[1])["echo"] == "two parts"
        client.send_frame(b"\x03\xe8", opcode=8)
        assert client.read_frame() == (8, b"\x03\xe8")
        assert client.ended()
    front.wait_closed(1)


def test_websocket_frame_behind_the_request_in_one_segment(front):
    with front.connect() as client:
        client.send(request("/ws", headers={
            "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}) + frame(b"early"))
        response = client.response()
        assert response.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert json.loads(client.read_frame()[1])["echo"] == "early"


def test_a_client_that_sends_and_never_reads_is_not_read_from_for_ever(front):
    with front.connect() as client, front.connect() as other:
        assert client.upgrade("/ws").status == 101
        client.socket.settimeout(0.3)
        sent = 0
        message = frame(b"x" * 60000)
        with pytest.raises(TimeoutError):
            while sent < 200_000_000:
                client.send(message)
                sent += len(message)
        assert other.get("/status.json").status == 200
        with open(f"/proc/{front.worker.pid}/status", encoding="ascii") as status:
            resident = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
        if "asan" not in str(paths.build()):
            assert resident < 50_000


HANDSHAKE = {"Connection": "Upgrade", "Upgrade": "websocket"}


@pytest.mark.parametrize("headers,status", [
    ({**HANDSHAKE, "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "short"}, 400),
    ({**HANDSHAKE, "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "*" * 24}, 400),
    ({**HANDSHAKE, "Sec-WebSocket-Version": "13"}, 400),
    ({**HANDSHAKE, "Sec-WebSocket-Version": "8", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}, 426),
    ({}, 426),
], ids=["short key", "no base64", "no key", "version 8", "no upgrade"])
def test_bad_handshakes(front, headers, status):
    with front.connect() as client:
        assert client.get("/ws", headers=headers).status == status
    front.wait_closed(1)


@pytest.mark.parametrize("data,status", [
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), 400),
    (b"\x00" * 100000, 400),
    (b"GET / HTTP/1.1\r\nX: " + b"x" * 9000 + b"\r\n\r\n", 431),
    (b"GET / HTTP/1.1\r\n" + b"X: x\r\n" * 3000 + b"\r\n", 431),
    (b"GET /" + b"x" * 600 + b" HTTP/1.1\r\n\r\n", 414),
    (b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", 413),
    (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    (b"CONNECT localhost:80 HTTP/1.1\r\n\r\n", 404),
    (b"GET / HTTP/1.1\r\nX: a\x01\r\n\r\n", 400),
], ids=["tls", "zeros", "long field", "many fields", "long url", "big body", "bad chunk", "two lengths", "connect",
        "control character"])
def test_hostile_requests(front, data, status):
    with front.connect() as client:
        try:
            client.send(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert client.response().status == status
        client.socket.shutdown(socket.SHUT_WR)
        client.read_all()
    front.wait_closed(1)
    with front.connect() as client:
        assert client.get("/").status == 200


@pytest.mark.parametrize("data,code", [
    (frame(b"unmasked", masked=False), 1002),
    (frame(b"x" * 1_000_000), 1009),
    (frame(b"\xff\xfe not UTF-8"), 1007),
    (frame(b"", opcode=3), 1002),
    (frame(b"x" * 126, opcode=9), None),
    (frame(b"continuation of nothing", opcode=0), 1002),
    (b"\x81\xff" + b"\xff" * 8, None),
], ids=["unmasked", "1 MB", "not UTF-8", "unknown opcode", "long ping", "continuation", "negative length"])
def test_hostile_frames(front, data, code):
    with front.connect() as client:
        assert client.upgrade("/ws").status == 101
        client.send(data)
        if code is None:
            assert client.ended()
        else:
            opcode, payload = client.read_frame()
            assert (opcode, int.from_bytes(payload[:2], "big")) == (8, code)
        client.read_all()
    front.wait_closed(1)


def test_ping(front):
    front.send({"type": "ping", "id": 41})
    assert front.read() == {"type": "pong", "id": 41}


@pytest.mark.parametrize("message", [
    b"{", b"[]", b"\xff\x00", b'{"type":7}', b'{"type":"connection"}', b'{"type":"connection","id":-1}',
    b'{"type":"weather","id":1}', b'{"type":"ack","id":1}', b"[" * 60000, b"x" * 100000,
], ids=range(10))
def test_unknown_messages_are_skipped_and_their_fds_closed(front, message):
    near, far = socket.socketpair()
    front.channel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    front.send(message, far.fileno())
    far.close()
    front.send({"type": "ping", "id": 1})
    assert front.read() == {"type": "pong", "id": 1}
    near.settimeout(10)
    assert near.recv(1) == b""


def test_a_connection_without_its_fd_is_refused(front):
    front.send({"type": "connection", "id": 5, "client": "x", "key": "ip"})
    assert front.read() == {"type": "refuse", "id": 5}


def test_drain_stops_nothing_and_ends_with_the_last_connection(front):
    with front.connect() as socket_client, front.connect() as http_client:
        assert socket_client.upgrade("/ws").status == 101
        assert http_client.get("/status.json").headers["connection"] == "keep-alive"
        front.send({"type": "drain"})
        front.send({"type": "ping", "id": 2})
        assert front.read() == {"type": "pong", "id": 2}
        assert http_client.get("/status.json").headers["connection"] == "close"
        assert http_client.ended()
        assert socket_client.say("still here")["echo"] == "still here"
        assert front.worker.poll() is None
    assert front.worker.wait(10) == 0


def test_drain_without_connections_ends_at_once(front):
    front.send({"type": "drain"})
    assert front.worker.wait(10) == 0


def test_end_of_the_channel(front):
    with front.connect() as client:
        assert client.upgrade("/ws").status == 101
        front.channel.close()
        assert client.say("the front is gone")["slot"] == "2"
    assert front.worker.wait(10) == 0


def test_terminate_ends_at_once(front):
    with front.connect():
        front.worker.send_signal(signal.SIGTERM)
        assert front.worker.wait(10) == 0


def test_a_front_that_does_not_read_stops_the_worker_from_reading_and_loses_nothing(front):
    count = 2000
    held = []
    front.channel.setblocking(False)
    sent = 0
    while sent < count:
        near, far = socket.socketpair()
        try:
            front.send({"type": "connection", "id": sent, "client": "x", "key": "ip"}, far.fileno())
        except BlockingIOError:
            break
        finally:
            far.close()
        held.append(near)
        sent += 1
    front.channel.settimeout(10)
    acknowledged = [front.read()["id"] for _ in range(sent)]
    assert acknowledged == list(range(sent))
    for near in held:
        near.close()
    front.wait_closed(sent)


def test_connections_that_come_and_go_leave_no_fds(front):
    def fds():
        return len(os.listdir(f"/proc/{front.worker.pid}/fd"))
    with front.connect() as client:
        client.get("/")
    front.wait_closed(1)
    before = fds()
    for number in range(50):
        with front.connect() as client:
            if number % 3 == 0:
                client.upgrade("/ws")
            elif number % 3 == 1:
                client.send(b"GET / HT")
    front.wait_closed(51)
    wait_until(lambda: fds() == before, "the worker's open files")
