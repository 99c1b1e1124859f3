"""What bad input gets: each sort is answered or closed as documented, is counted, and leaves the next client served."""
import contextlib
import os
import random
import signal
import socket
import ssl

import pytest

from harness import proxy_protocol, record
from harness.http import Connection, request
from harness.wait import wait_until

GOOD = request("/good", cookie="sid=good")


def answered(connection, status):
    """The client reads a whole answer, and then an orderly end: no reset that could have overtaken it."""
    response = connection.response()
    assert response.status == status
    assert response.headers["connection"] == "close"
    assert response.body.startswith(str(status).encode())
    assert ("retry-after" in response.headers) == (status in (429, 503))
    if "retry-after" in response.headers:
        assert int(response.headers["retry-after"]) > 0
    assert connection.buffer == b""
    assert connection.socket.recv(1) == b""


def closed(connection):
    """No byte, and an end."""
    try:
        assert connection.socket.recv(100) == b""
    except ConnectionResetError:
        pass


def client_hello():
    """What a TLS client sends first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


NOT_HTTP = {
    "text": b"hello\r\n\r\n",
    "zeros": b"\0" * 100,
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "smtp": b"EHLO client.example\r\n",
    "http09": b"GET /\r\n\r\n",
    "http2 version": b"GET / HTTP/2.0\r\n\r\n",
    "no target": b"GET HTTP/1.1\r\n\r\n",
    "a proxy header that nobody asked for": proxy_protocol.v1("192.0.2.9") + GOOD,
    "version 2 of it": proxy_protocol.v2("192.0.2.9") + GOOD,
    "space before a colon": b"GET / HTTP/1.1\r\nCookie : sid=1\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\nCookie\r\n\r\n",
    "empty name": b"GET / HTTP/1.1\r\n: x\r\n\r\n",
    "control character": b"GET / HTTP/1.1\r\nCookie: a\x01b\r\n\r\n",
    "nul": b"GET / HTTP/1.1\r\nCookie: a\0b\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "length and chunked": b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    "negative length": b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    "huge length": b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    "a body behind it": b"hello\r\n\r\n" + b"x" * 300_000,
}


@pytest.mark.parametrize("data", NOT_HTTP.values(), ids=NOT_HTTP.keys())
def test_not_http_gets_400(limpet, data):
    front = record.start(limpet)
    with record.unharmed(front), record.counted(front, head_invalid=1):
        with Connection(front.address) as connection:
            connection.send(data)
            answered(connection, 400)


@pytest.mark.parametrize("data,counter,name", [
    (client_hello(), "head_tls", "TLS"),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", "head_http2", "HTTP/2"),
], ids=["tls", "http2"])
@pytest.mark.parametrize("cut", [0, 1, 3, 4])
def test_tls_and_http2_go_by_address_where_a_key_needs_the_head(limpet, data, counter, name, cut):
    front = record.start(limpet, workers=4)
    warnings = front.mark_log()
    with record.unharmed(front), record.counted(front, **{counter: 20, "handed_off": 20}):
        homes = set()
        for _ in range(20):
            told, echoed = record.echo(front.address, [part for part in (data[:cut], data[cut:]) if part])
            assert echoed == data
            assert told["key"] == "ip"
            homes.add(told["pid"])
        assert len(homes) == 1
    lines = [line for line in front.text().splitlines()[warnings:] if f"speaks {name}" in line]
    assert len(lines) == 1, lines


def test_no_byte_in_head_timeout_is_closed_without_an_answer(limpet):
    front = record.start(limpet, listener={"head_timeout": "200ms"})
    with record.unharmed(front), record.counted(front, head_empty=3):
        spare = [Connection(front.address) for _ in range(3)]
        for connection in spare:
            closed(connection)
            connection.close()


def test_no_byte_behind_a_proxy_header_is_closed_without_an_answer(limpet):
    """A browser's spare connection, through a proxy."""
    front = record.start(limpet, listener={"head_timeout": "200ms", "proxy_protocol": True,
                                           "trusted_proxies": ["127.0.0.1"]})
    good = lambda: record.ask(front.address, proxy_protocol.v1("192.0.2.1") + GOOD)  # noqa: E731
    with record.unharmed(front, good), record.counted(front, head_empty=1, head_timeout=0):
        with Connection(front.address) as connection:
            connection.send(proxy_protocol.v1("192.0.2.1"))
            closed(connection)


@pytest.mark.parametrize("size,behind", [(1024, 0), (1023, 1), (1025, 0), (5000, 0), (500_000, 0)])
@pytest.mark.parametrize("pieces", [1, 3])
def test_a_head_larger_than_head_size_gets_431(limpet, size, behind, pieces):
    front = record.start(limpet, listener={"head_size": 1024})
    data = (b"GET / HTTP/1.1\r\nCookie: a=" + b"x" * size)[:size] + b"y" * behind
    with record.unharmed(front), record.counted(front, head_too_large=1):
        with Connection(front.address) as connection:
            for piece in range(pieces):
                connection.send(data[size * piece // pieces:size * (piece + 1) // pieces])
            connection.send(b"y" * behind)
            answered(connection, 431)


def test_a_head_of_just_head_size_passes(limpet):
    front = record.start(limpet, listener={"head_size": 1024})
    head = b"GET / HTTP/1.1\r\nCookie: sid=" + b"x" * 1000 + b"\r\n\r\n"
    for size in (1023, 1024):
        data = head[:-4 - (len(head) - size)] + b"\r\n\r\n"
        assert len(data) == size
        assert record.ask(front.address, data + b"body" * 5000)["key"] == "cookie"


def test_too_many_fields_get_431(limpet):
    front = record.start(limpet, listener={"head_size": "64k"})
    with record.unharmed(front), record.counted(front, head_too_large=1):
        with Connection(front.address) as connection:
            connection.send(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 500 + b"\r\n")
            answered(connection, 431)


def test_a_head_not_complete_in_head_timeout_gets_408(limpet):
    front = record.start(limpet, listener={"head_timeout": "300ms"})
    with record.unharmed(front), record.counted(front, head_timeout=3):
        clients = [Connection(front.address) for _ in range(3)]
        for number, connection in enumerate(clients):
            connection.send(GOOD[:-1 - number])
        for connection in clients:
            answered(connection, 408)
            connection.close()


def test_bytes_that_trickle_in_do_not_prolong_head_timeout(limpet):
    front = record.start(limpet, listener={"head_timeout": "300ms"})
    with record.unharmed(front), record.counted(front, head_timeout=1):
        with Connection(front.address) as connection:
            connection.send(b"GET / HTTP/1.1\r\nCookie: ")
            connection.socket.settimeout(0.02)
            for _ in range(2000):  # far more than fit in the time, and less than head_size
                connection.send(b"x")
                try:
                    connection.more()
                    break
                except TimeoutError:
                    pass
            connection.socket.settimeout(10)
            answered(connection, 408)


def test_too_many_waiting_from_one_client_get_429(limpet):
    front = record.start(limpet, listener={"max_waiting_per_client": 3})
    with record.unharmed(front):
        waiting = [Connection(front.address, "127.0.0.5") for _ in range(3)]
        for connection in waiting:
            connection.send(GOOD[:6])
        wait_until(lambda: record.counters(front)["accepted"] >= 4, "they are accepted")
        with record.counted(front, client_limit=2):
            with Connection(front.address, "127.0.0.5") as connection:
                connection.send(GOOD + b"x" * 100_000)
                answered(connection, 429)
            with Connection(front.address, "127.0.0.5") as connection:  # not HTTP: no HTTP answer
                connection.send(b"\x16\x03\x01\x00\x05hello")
                closed(connection)
        assert record.ask(front.address, GOOD, "127.0.0.6")
        waiting.pop().close()
        wait_until(lambda: record.counters(front)["closed_by_client"] == 1, "one has left")
        assert record.ask(front.address, GOOD, "127.0.0.5")
        for connection in waiting:
            connection.send(GOOD[6:])
            assert record.read_line(connection)
            connection.close()


def test_too_many_waiting_push_the_oldest_out(limpet):
    front = record.start(limpet, listener={"max_waiting": 3})
    with record.unharmed(front), record.counted(front, evicted=2):
        clients = []
        for number in range(5):
            clients.append(Connection(front.address))
            clients[-1].send(GOOD[:6])
            wait_until(lambda: record.counters(front)["accepted"] >= 2 + number, "it is accepted")
        for connection in clients[:2]:
            closed(connection)
        for connection in clients[2:]:
            connection.send(GOOD[6:])
            assert record.read_line(connection)
        for connection in clients:
            connection.close()


@pytest.mark.parametrize("sticky", [{"cookie": "sid"}, "ip"], ids=["cookie", "ip"])
@pytest.mark.parametrize("on_down", ["next", "reject", "hold"])
def test_no_worker_gets_503(limpet, sticky, on_down):
    front = record.start(limpet, "never-ready", ready=0, sticky=[sticky],
                         pool={"start_timeout": "100ms", "on_down": on_down, "hold": "1ms"})

    def once():
        with Connection(front.address) as connection:
            connection.send(GOOD + b"x" * 100_000)
            answered(connection, 503)
    once()
    with record.unharmed(front, once), record.counted(front, no_worker=1):
        once()


def test_a_worker_that_does_not_come_back_within_hold_gets_503(limpet, tmp_path):
    may_start = tmp_path / "may-start"
    may_start.touch()
    front = record.start(limpet, "ready-when", may_start, workers=1, pool={"on_down": "hold", "hold": "300ms"})
    router = front.router()
    may_start.unlink()
    os.kill(front.wait_ready(1)["0"], signal.SIGKILL)
    wait_until(lambda: record.slots(front)["0"]["state"] != "ready", "the worker is gone")
    with record.counted(front, hold_expired=2, held=2, no_worker=0):
        clients = [Connection(front.address) for _ in range(2)]
        for connection in clients:
            connection.send(GOOD + b"x" * 100_000)
        for connection in clients:
            answered(connection, 503)
            connection.close()
    may_start.touch()
    wait_until(lambda: record.slots(front)["0"]["state"] == "ready", "the worker is back")
    assert record.ask(front.address, GOOD)["slot"] == "0"
    assert front.router() == router


def test_no_worker_closes_where_the_client_speaks_no_http(limpet):
    front = record.start(limpet, "never-ready", ready=0, sticky=["ip"],
                         pool={"start_timeout": "100ms", "on_down": "next"})
    with Connection(front.address) as connection:
        connection.send(client_hello())
        closed(connection)
    with Connection(front.address) as connection:  # says nothing: gets no answer, and not for ever
        closed(connection)


def test_a_hello_of_tls_is_never_answered_in_http(limpet):
    """Also where keys need the head, and no worker takes it."""
    front = record.start(limpet, "never-ready", ready=0, pool={"start_timeout": "100ms", "on_down": "next"})
    with record.counted(front, no_worker=1, head_tls=1):
        with Connection(front.address) as connection:
            connection.send(client_hello())
            closed(connection)


def test_a_full_queue_gets_503(limpet):
    front = record.start(limpet, "silent", workers=1, pool={"window": 1, "queue": 2, "stuck_timeout": "10m"})
    clients = []
    for number in range(3):  # one is sent, two wait
        clients.append(Connection(front.address))
        clients[-1].send(GOOD)
        wait_until(lambda: record.counters(front)["accepted"] == number + 1, "it is accepted")
    with record.counted(front, queue_full=1):
        with Connection(front.address) as connection:
            connection.send(GOOD + b"x" * 100_000)
            answered(connection, 503)
    slot = record.slots(front)["0"]
    assert (slot["unacknowledged"], slot["waiting"]) == (1, 2)
    os.kill(slot["pid"], signal.SIGKILL)
    for connection in clients:
        connection.close()


PROXY = {"proxy_protocol": True, "trusted_proxies": ["127.0.0.1"]}
BAD_PROXY_HEADERS = {
    "none": GOOD,
    "tls": client_hello(),
    "unknown family": b"PROXY TCP5 1.2.3.4 1.2.3.5 1 2\r\n" + GOOD,
    "wrong family": b"PROXY TCP4 ::1 ::1 1 2\r\n" + GOOD,
    "port": b"PROXY TCP4 1.2.3.4 1.2.3.5 65536 2\r\n" + GOOD,
    "leading zero": b"PROXY TCP4 1.2.3.4 1.2.3.5 01 2\r\n" + GOOD,
    "two spaces": b"PROXY  TCP4 1.2.3.4 1.2.3.5 1 2\r\n" + GOOD,
    "line feed only": b"PROXY TCP4 1.2.3.4 1.2.3.5 1 2\n" + GOOD,
    "no end": b"PROXY UNKNOWN " + b"x" * 200,
    "lower case": b"proxy TCP4 1.2.3.4 1.2.3.5 1 2\r\n" + GOOD,
    "version 3": proxy_protocol.v2_raw(0x31, proxy_protocol.TCP4, b"\1" * 12) + GOOD,
    "unknown command": proxy_protocol.v2_raw(0x22, proxy_protocol.TCP4, b"\1" * 12) + GOOD,
    "short addresses": proxy_protocol.v2_raw(proxy_protocol.PROXY, proxy_protocol.TCP4, b"\1" * 11) + GOOD,
    "short ipv6": proxy_protocol.v2_raw(proxy_protocol.PROXY, proxy_protocol.TCP6, b"\1" * 35) + GOOD,
    "huge": proxy_protocol.v2_raw(proxy_protocol.PROXY, proxy_protocol.TCP4, b"\1" * 65535),
    "signature spoilt": proxy_protocol.SIGNATURE[:11] + b"\r" + b"\x21\x11\0\0",
}


@pytest.mark.parametrize("data", BAD_PROXY_HEADERS.values(), ids=BAD_PROXY_HEADERS.keys())
def test_a_missing_or_malformed_proxy_header_is_closed(limpet, data):
    front = record.start(limpet, listener=PROXY)
    good = lambda: record.ask(front.address, proxy_protocol.v1("192.0.2.1") + GOOD)  # noqa: E731
    with record.unharmed(front, good), record.counted(front, proxy_invalid=1):
        with Connection(front.address) as connection:
            connection.send(data)
            closed(connection)


def test_half_a_proxy_header_is_closed_in_head_timeout(limpet):
    front = record.start(limpet, listener={**PROXY, "head_timeout": "200ms"})
    good = lambda: record.ask(front.address, proxy_protocol.v1("192.0.2.1") + GOOD)  # noqa: E731
    with record.unharmed(front, good), record.counted(front, proxy_invalid=2):
        for half in (b"PROXY TCP4 1.2.3", proxy_protocol.v2("192.0.2.1")[:20]):
            with Connection(front.address) as connection:
                connection.send(half)
                closed(connection)


def test_a_proxy_header_of_an_untrusted_peer_is_closed(limpet):
    front = record.start(limpet, listener=PROXY)
    good = lambda: record.ask(front.address, proxy_protocol.v1("192.0.2.1") + GOOD)  # noqa: E731
    with record.unharmed(front, good), record.counted(front, proxy_untrusted=2):
        for data in (proxy_protocol.v1("192.0.2.1") + GOOD, proxy_protocol.v2("192.0.2.1")):
            with Connection(front.address, "127.0.0.2") as connection:
                connection.send(data)
                closed(connection)


# A corpus of heads that are odd or broken: whatever each gets, it gets something.

def odd_heads():
    choose = random.Random(20)
    cookies = [";", ";;;;", "; sid=1", "=;=;=", "sid", "sid=", "sid=;sid=1", "=1", ";" * 8000, "=" * 8000, "sid" * 3000,
               "sid==;==", "\t;\t", "sid=\xff\xfe", "sid=" + "%" * 500, "$Version=1; sid=1", 'sid="1; 2"', "sid=1,sid=2"]
    for cookie in cookies:
        yield f"GET / HTTP/1.1\r\nCookie: {cookie}\r\n\r\n".encode("latin-1")
    yield b"GET / HTTP/1.1\r\n" + b"Cookie: sid=%d\r\n" * 2 % (1, 2) + b"\r\n"
    yield b"GET / HTTP/1.1\r\n" + b"Cookie: ;\r\n" * 100 + b"\r\n"
    yield b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nX-Forwarded-For: 1\r\nX-Forwarded-For: 2\r\n\r\n"
    yield b"GET / HTTP/1.1\r\nX-Forwarded-For: " + b"127.0.0.1, " * 500 + b"127.0.0.1\r\n\r\n"
    yield b"GET / HTTP/1.1\r\nX-Forwarded-For: " + b", " * 5000 + b"\r\n\r\n"
    yield b"GET / HTTP/1.1\r\nForwarded: " + b'for="' * 2000 + b"\r\n\r\n"
    yield b"GET / HTTP/1.1\r\nForwarded: for=" + b"\\" * 5000 + b'"\r\n\r\n'
    yield b"GET / HTTP/1.1\r\nForwarded: " + b"for=127.0.0.1;" * 500 + b"\r\n\r\n"
    for number in ("-1", "0", "+1", "1 1", "0x10", "18446744073709551616", "9" * 400, "1,1", "١"):
        yield f"POST / HTTP/1.1\r\nContent-Length: {number}\r\n\r\n".encode()
    for version in ("HTTP/1.9", "HTTP/0.9", "HTTP/11.1", "HTTP/-1.1", "HTTP/1.", "HTTP/99999999999999999999.1", "http/1.1"):
        yield f"GET / {version}\r\n\r\n".encode()
    for target in ("*", "?", "#", "//", "/" * 4000, "/?" + "&" * 4000, "/?sid=%", "/?sid=%zz", "/?%73id=1", "http://a:99999/",
                   "/\x7f", "/\xe9", "/a b"):
        yield f"GET {target} HTTP/1.1\r\n\r\n".encode("latin-1")
    yield b"\r\n" * 3000
    yield b"\n" * 3000
    yield b"GET / HTTP/1.1\r\n folded: first\r\n\r\n"
    yield b"GET / HTTP/1.1\r\nA: b\r\n folded\r\n\t; sid=1\r\n\r\n"
    yield b"GET / HTTP/1.1\rCookie: sid=1\r\r"
    yield b"A" * 10000
    yield b"GET / HTTP/1.1\r\n" + b"A" * 10000
    yield from (bytes([byte]) for byte in range(0, 256, 7))
    for _ in range(150):
        yield choose.randbytes(choose.randrange(1, 600))
    whole = request("/a/b?sid=1", cookie="sid=1; a=b", headers={"X-Forwarded-For": "1.2.3.4, 127.0.0.1", "X-Room": "7"})
    for _ in range(300):
        spoilt = bytearray(whole)
        for _ in range(choose.randrange(1, 5)):
            place = choose.randrange(len(spoilt))
            spoilt[place:place + choose.randrange(3)] = choose.randbytes(choose.randrange(3))
        yield bytes(spoilt)


@pytest.mark.parametrize("sticky", [
    [{"cookie": "sid"}], [{"query": "sid"}, {"header": "x-room"}, {"path": 2}], ["ip"],
], ids=["cookie", "query header path", "ip"])
def test_odd_heads_get_an_answer_or_a_close(limpet, sticky):
    front = record.start(limpet, sticky=sticky, listener={"trusted_proxies": ["127.0.0.0/8"], "head_timeout": "1s"})
    seen = set()
    with record.unharmed(front):
        for number, data in enumerate(odd_heads()):
            with Connection(front.address) as connection:
                connection.send(data)
                if number % 4:
                    connection.socket.shutdown(socket.SHUT_WR)
                    seen.add(outcome(connection.read_all(), data))
                else:  # the client waits: it must not for ever
                    connection.more()
                    seen.add(outcome(connection.buffer, data))
    assert {"400", "echo"} <= seen, seen


def outcome(got, data):
    """What became of a connection: a status, the worker's echo, or nothing."""
    if got.startswith(b"{"):
        line, echoed = got.split(b"\n", 1)
        assert data.startswith(echoed), (data, line, echoed)
        return "echo"
    if got:
        assert got.startswith(b"HTTP/1.1 4"), got
        return got[9:12].decode()
    return "closed"


def test_odd_proxy_headers_get_an_answer_or_a_close(limpet):
    front = record.start(limpet, listener={**PROXY, "head_timeout": "1s"})
    choose = random.Random(21)
    headers = [proxy_protocol.v1("192.0.2.1"), proxy_protocol.v1("2001:db8::1"), proxy_protocol.v2("192.0.2.1"),
               proxy_protocol.v2("2001:db8::1", tlvs=proxy_protocol.tlv(4, b"x" * 50)),
               proxy_protocol.v2_raw(proxy_protocol.LOCAL, 0, b"")]
    good = lambda: record.ask(front.address, proxy_protocol.v1("192.0.2.1") + GOOD)  # noqa: E731
    with record.unharmed(front, good):
        for _ in range(400):
            data = bytearray(choose.choice(headers))
            for _ in range(choose.randrange(3)):
                data[choose.randrange(len(data))] = choose.randrange(256)
            del data[choose.randrange(len(data)):choose.randrange(len(data))]
            with Connection(front.address) as connection:
                connection.send(bytes(data) + GOOD)
                with contextlib.suppress(OSError):  # closed already
                    connection.socket.shutdown(socket.SHUT_WR)
                connection.read_all()


# PROXY headers, end to end: what the worker is told, and that it gets what stands behind them, exactly.

BODY = GOOD + bytes(range(256)) * 20
GOOD_PROXY_HEADERS = {
    "v1 ipv4": (proxy_protocol.v1("192.0.2.7", source_port=4711), "192.0.2.7:4711"),
    "v1 ipv6": (proxy_protocol.v1("2001:db8::7", source_port=65535), "[2001:db8::7]:65535"),
    "v1 unknown": (b"PROXY UNKNOWN\r\n", None),
    "v1 unknown and more": (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", None),
    "v2 ipv4": (proxy_protocol.v2("192.0.2.7", source_port=4711), "192.0.2.7:4711"),
    "v2 ipv6": (proxy_protocol.v2("2001:db8::7", source_port=4711), "[2001:db8::7]:4711"),
    "v2 mapped": (proxy_protocol.v2("::ffff:192.0.2.7", source_port=4711), "192.0.2.7:4711"),
    "v2 local": (proxy_protocol.v2_raw(proxy_protocol.LOCAL, 0, b""), None),
    "v2 local with addresses": (proxy_protocol.v2_raw(proxy_protocol.LOCAL, proxy_protocol.TCP4, b"\1" * 12), None),
    "v2 unspec": (proxy_protocol.v2_raw(proxy_protocol.PROXY, proxy_protocol.UNSPEC, b""), None),
    "v2 unix": (proxy_protocol.v2_raw(proxy_protocol.PROXY, proxy_protocol.UNIX,
                                      b"/run/a".ljust(108, b"\0") + b"/run/b".ljust(108, b"\0")), "unix:/run/a"),
    "v2 tlvs": (proxy_protocol.v2("192.0.2.7", source_port=4711, tlvs=proxy_protocol.tlv(1, b"h2")
                                  + proxy_protocol.tlv(4, b"\0" * 3000)), "192.0.2.7:4711"),
}


@pytest.mark.parametrize("header,client", GOOD_PROXY_HEADERS.values(), ids=GOOD_PROXY_HEADERS.keys())
@pytest.mark.parametrize("sticky", [{"cookie": "sid"}, "ip"], ids=["cookie", "ip"])
def test_a_proxy_header_is_read_off_exactly(limpet, header, client, sticky):
    front = record.start(limpet, listener=PROXY, sticky=[sticky], workers=1)
    cuts = {1, len(header) // 2, len(header) - 1, len(header), len(header) + 1, len(header) + 30}
    for cut in [0, *sorted(cuts)]:
        data = header + BODY
        chunks = [data[:cut], data[cut:]] if cut else [data]
        told, echoed = record.echo(front.address, chunks)
        assert echoed == BODY, cut
        assert told["key"] == ("ip" if sticky == "ip" else "cookie")
        if client:
            assert told["client"] == client
        else:
            assert told["client"].startswith("127.0.0.1:")


@pytest.mark.parametrize("header", [proxy_protocol.v1("192.0.2.7"), proxy_protocol.v2("192.0.2.7")], ids=["v1", "v2"])
def test_a_proxy_header_split_at_every_place(limpet, header):
    front = record.start(limpet, listener=PROXY, workers=1)
    data = header + GOOD
    with record.unharmed(front, lambda: record.ask(front.address, data)):
        for cut in range(1, len(header) + 8):
            told, echoed = record.echo(front.address, [data[:cut], data[cut:]])
            assert (told["client"], echoed) == ("192.0.2.7:1234", GOOD), cut
        told, echoed = record.echo(front.address, [bytes([byte]) for byte in data])
        assert (told["client"], echoed) == ("192.0.2.7:1234", GOOD)


def test_a_server_that_speaks_first_behind_a_proxy_header(limpet):
    """Only the header is waited for where the address decides."""
    front = record.start(limpet, listener=PROXY, sticky=["ip"])
    with Connection(front.address) as connection:
        connection.send(proxy_protocol.v2("192.0.2.7"))
        assert record.read_line(connection)["client"] == "192.0.2.7:1234"
        connection.send(b"hello")
        assert connection.read_exactly(5) == b"hello"


def test_a_proxy_header_and_a_trusted_header_field_behind_it(limpet):
    front = record.start(limpet, sticky=["ip"],
                         listener={"proxy_protocol": True, "trusted_proxies": ["127.0.0.1", "10.0.0.0/8"]})
    through = proxy_protocol.v1("10.1.1.1") + request(headers={"X-Forwarded-For": "203.0.113.5, 10.2.2.2"})
    assert record.ask(front.address, through)["client"].split(":")[0] == "203.0.113.5"
    forged = proxy_protocol.v1("192.0.2.1") + request(headers={"X-Forwarded-For": "203.0.113.5"})
    assert record.ask(front.address, forged)["client"].split(":")[0] == "192.0.2.1"


def test_unix_sockets_and_their_proxies(limpet, tmp_path):
    path = str(tmp_path / "web.sock")
    front = record.start(limpet, address=f"unix:{path}", listener={"proxy_protocol": True, "trusted_proxies": ["unix"]})
    told, echoed = record.echo(path, [proxy_protocol.v2("192.0.2.7") + BODY])
    assert (told["client"], echoed) == ("192.0.2.7:1234", BODY)
    with record.counted(front, proxy_invalid=1):
        with Connection(path) as connection:
            connection.send(GOOD)
            closed(connection)
