"""Nothing of the client's is consumed: the worker reads every byte, as it was sent."""
import os
import random
import socket

import pytest

from harness.http import Connection, request


def record(front, chunks):
    """Sends the chunks, a segment each, ends, and returns what came back."""
    with Connection(front.address) as connection:
        for chunk in chunks:
            connection.send(chunk)
        connection.socket.shutdown(socket.SHUT_WR)
        return connection.read_all()


HEAD = request("/?a=1", cookie="sid=x", headers={"X-Long": "y" * 3000})


@pytest.mark.parametrize("chunks", [
    [HEAD],
    [HEAD[:10], HEAD[10:]],
    [HEAD[:-1], HEAD[-1:]],
    [HEAD + b"body" * 5000],
    [HEAD, HEAD, HEAD],
    [request(method="POST", cookie="sid=x", body=os.urandom(200_000))],
    [bytes([byte]) for byte in HEAD[:200]] + [HEAD[200:] + b"\0\xff" * 100],
], ids=["head", "split early", "split late", "with a body", "pipelined", "binary", "bytes"])
def test_every_byte_arrives_when_the_head_decides(limpet, app, chunks):
    front = limpet(app("record-bytes.js"), listen="127.0.0.1:0", sticky="cookie:sid", workers=2)
    front.wait_ready(2)
    assert record(front, chunks) == b"".join(chunks)


def test_random_splits(limpet, app):
    front = limpet(app("record-bytes.js"), listen="127.0.0.1:0", sticky=["cookie:sid", "header:x-a"], workers=2)
    front.wait_ready(2)
    choose = random.Random(7)
    for _ in range(40):
        whole = request(f"/{choose.random()}", cookie=f"sid={choose.random()}",
                        body=choose.randbytes(choose.randrange(3000)))
        cuts = sorted(choose.sample(range(1, len(whole)), choose.randrange(1, 9)))
        chunks = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)])]
        assert record(front, chunks) == whole


@pytest.mark.parametrize("data", [b"", b"\0", b"\x16\x03\x01\x00\x05hello", b"any bytes at all\n", os.urandom(100_000)],
                         ids=["none", "zero", "tls", "text", "large"])
def test_every_byte_arrives_when_the_address_decides(limpet, app, data):
    front = limpet(app("record-bytes.js"), listen="127.0.0.1:0", workers=2)
    front.wait_ready(2)
    assert record(front, [data]) == data


def test_a_server_that_speaks_first(limpet, app):
    front = limpet(app("record-bytes.js"), listen="127.0.0.1:0", workers=2, env={"GREETING": "220 ready\r\n"})
    front.wait_ready(2)
    with Connection(front.address) as connection:
        assert connection.read_until(b"\r\n") == b"220 ready"
        connection.send(b"hello")
        assert connection.read_exactly(5) == b"hello"
