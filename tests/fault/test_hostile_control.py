"""The control socket: whoever may open it may still send nonsense."""
import contextlib
import json
import random
import socket

from harness import record
from harness.http import Connection
from harness.wait import wait_until


def open_control(front):
    """Waits while the queue of connections is full, as limpetctl does."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(front.control))
    return Connection(connection)


def send(front, data, end=True):
    with open_control(front) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.send(data)
            if end:
                connection.socket.shutdown(socket.SHUT_WR)
        return connection.read_all()


def test_what_is_no_request_is_refused(limpet):
    front = record.start(limpet)
    choose = random.Random(3)
    bad = [b"", b"\n", b"status\n", b"{}\n", b"[]\n", b'{"command":1}\n', b'{"command":"no"}\n', b'{"command":null}\n', b'"status"\n',
           b'{"command":"status","command":"status"}\n', b"[" * 4000 + b"\n", b"{" * 4096, b"x" * 100_000, b"\0" * 5000,
           b'{"command":"restart","pool":"none"}\n', b'{"command":"' + b"x" * 5000 + b'"}\n', b'{"command":"status"}\0\n']
    bad += [choose.randbytes(choose.randrange(1, 5000)) for _ in range(100)]
    with record.unharmed(front):
        for data in bad:
            answer = send(front, data)
            assert answer == b"" or "error" in json.loads(answer), (data[:50], answer)
    assert record.status(front)["state"] == "running"


def test_a_request_in_pieces_and_an_answer_that_nobody_reads(limpet):
    front = record.start(limpet)
    with record.unharmed(front):
        with open_control(front) as connection:
            for byte in b'{"command":"status"}\n':
                connection.send(bytes([byte]))
            assert json.loads(connection.read_all())["state"] == "running"
        for _ in range(100):
            with open_control(front) as connection:
                connection.send(b'{"command":"status"}\n')


def test_those_who_say_nothing_do_not_keep_others_out_for_ever(limpet):
    front = record.start(limpet)
    with record.unharmed(front):
        silent = [open_control(front) for _ in range(30)]
        wait_until(lambda: front.ctl("-j", "status", check=False).returncode == 0, "limpetctl gets through", 20)
        for connection in silent:
            connection.close()
