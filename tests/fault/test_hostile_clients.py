"""Clients that mean harm: resets at every stage, floods, and no end."""
import contextlib
import os
import random
import signal
import socket
import struct

import pytest

from harness import paths, proxy_protocol, record
from harness.http import Connection, connect, request
from harness.wait import wait_until

GOOD = request(cookie="sid=good")


def reset(connection):
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def stages(data):
    """What a client has sent when it goes."""
    return [b"", data[:1], data[:len(data) // 2], data[:-1], data, data + b"x" * 100_000, b"not http\r\n\r\n" + b"x" * 50_000]


@pytest.mark.parametrize("end", [reset, Connection.close], ids=["reset", "close"])
@pytest.mark.parametrize("sticky", [{"cookie": "sid"}, "ip"], ids=["cookie", "ip"])
def test_clients_that_go_at_every_stage(limpet, sticky, end):
    front = record.start(limpet, sticky=[sticky])
    with record.unharmed(front):
        for data in stages(GOOD) * 40:
            connection = Connection(front.address)
            if data:
                with contextlib.suppress(OSError):
                    connection.send(data)
            end(connection)
        wait_until(lambda: record.status(front)["counters"]["accepted"] > 200, "they were seen")


@pytest.mark.parametrize("end", [reset, Connection.close], ids=["reset", "close"])
def test_clients_behind_a_proxy_that_go_at_every_stage(limpet, end):
    front = record.start(limpet, listener={"proxy_protocol": True, "trusted_proxies": ["127.0.0.1"]})
    with record.unharmed(front, lambda: record.ask(front.address, proxy_protocol.v1("192.0.2.1") + GOOD)):
        for header in (proxy_protocol.v1("192.0.2.1"), proxy_protocol.v2("192.0.2.1")):
            for data in stages(header) * 10 + stages(header + GOOD) * 10:
                connection = Connection(front.address)
                if data:
                    with contextlib.suppress(OSError):
                        connection.send(data)
                end(connection)


@pytest.mark.parametrize("end", [reset, Connection.close], ids=["reset", "close"])
def test_clients_that_go_while_they_wait(limpet, tmp_path, end):
    may_start = tmp_path / "may-start"
    front = record.start(limpet, "ready-when", may_start, ready=0, workers=1, pool={"start_timeout": "100ms", "hold": "10m"})
    clients = [Connection(front.address) for _ in range(60)]
    for connection in clients:
        connection.send(GOOD)
    wait_until(lambda: record.slots(front)["0"]["waiting"] == 60, "they wait")
    for connection in clients[::2]:
        end(connection)
    may_start.touch()
    for connection in clients[1::2]:
        assert record.read_line(connection)["slot"] == "0"
        connection.close()
    with record.unharmed(front):
        pass


def test_a_flood_of_half_heads_leaves_others_served(limpet):
    """More than max_waiting, from many addresses: the oldest make room."""
    front = record.start(limpet, listener={"max_waiting": 200, "head_timeout": "10m"})
    with record.unharmed(front):
        flood = []
        for number in range(600):
            connection = Connection(front.address, f"127.0.{number % 100}.9")
            connection.send(b"GET /")
            flood.append(connection)
            if number % 50 == 0:
                assert record.ask(front.address, GOOD)
        for connection in flood:
            connection.close()


@pytest.fixture
def few_files(tmp_path, monkeypatch):
    """limpet is started with a limit of 160 open files."""
    script = tmp_path / "limpet-with-few-files"
    script.write_text(f'#!/bin/sh\nulimit -n 160\nexec {paths.limpet()} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("LIMPETCTL_BINARY", str(paths.limpetctl()))
    monkeypatch.setenv("LIMPET_BINARY", str(script))


def flood_of_half_heads(front):
    flood = []
    for number in range(300):
        connection = Connection(front.address, f"127.0.{number % 100}.9")
        connection.send(b"GET /")
        flood.append(connection)
    return flood


def test_clients_that_use_up_the_files_leave_others_served(limpet, few_files):
    front = record.start(limpet, listener={"head_timeout": "10m"})
    with record.unharmed(front):
        flood = flood_of_half_heads(front)
        for number in range(5):
            assert record.ask(front.address, request(cookie=f"sid={number}"), timeout=30)
        for connection in flood:
            connection.close()
    lines = [line for line in front.text().splitlines() if "accepting" in line]
    assert len(lines) <= 10, lines


def test_a_worker_that_starts_while_clients_have_used_up_the_files(limpet, few_files):
    front = record.start(limpet, listener={"head_timeout": "10m"})
    with record.unharmed(front):
        flood = flood_of_half_heads(front)
        pid = record.slots(front)["0"]["pid"]
        os.kill(pid, signal.SIGKILL)
        front.wait_replaced("0", pid)
        for connection in flood:
            connection.close()


def test_many_clients_at_once_doing_everything(limpet):
    """A storm by a seed: good clients within it are all served."""
    front = record.start(limpet, workers=3, listener={"head_timeout": "1s", "max_waiting_per_client": 1000})
    choose = random.Random(99)
    with record.unharmed(front):
        for _ in range(15):
            storm = []
            for _ in range(60):
                connection = Connection(front.address)
                data = bytearray(GOOD + choose.randbytes(choose.randrange(300)))
                for _ in range(choose.randrange(4)):
                    data[choose.randrange(len(data))] = choose.randrange(256)
                with contextlib.suppress(OSError):
                    connection.send(bytes(data[:choose.randrange(len(data))]))
                storm.append(connection)
            assert record.ask(front.address, GOOD)
            choose.shuffle(storm)
            for connection in storm:
                choose.choice([reset, Connection.close])(connection)


def test_urgent_bytes_neither_spin_nor_stall(limpet):
    front = record.start(limpet, listener={"head_timeout": "1s"})
    with record.unharmed(front):
        for head in (b"", b"GET", b"GET / HTTP/1.1\r\nCookie: sid="):
            for behind in (b"", b"x", b"x\r\n\r\n"):
                raw = connect(front.address)
                if head:
                    raw.send(head)
                raw.send(b"!", socket.MSG_OOB)
                if behind:
                    with contextlib.suppress(OSError):
                        raw.send(behind)
                with contextlib.suppress(OSError):
                    raw.recv(1000)
                raw.close()
