"""A worker of protocol limpet that does harm: the argument says how. It says that it is ready first, if it can."""
import array
import json
import os
import random
import socket
import sys
import time

how = sys.argv[1]
channel = socket.socket(fileno=int(os.environ["LIMPET_FD"]))
choose = random.Random(os.environ["LIMPET_SLOT"])


def say(**message):
    channel.send(json.dumps(message).encode())


def send(data, files=()):
    try:
        channel.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))] if files else [])
    except OSError as error:
        print(f"misbehave: {error}", flush=True)
        time.sleep(0.05)


def connections():
    """The messages that come, their sockets closed."""
    while True:
        data, files, _, _ = socket.recv_fds(channel, 65536, 8)
        if not data:
            sys.exit(0)
        for file in files:
            os.close(file)
        yield json.loads(data)


GARBAGE = [b"x", b"{", b"[]", b"null", b'"ready"', b"{}", b'{"type":1}', b'{"type":"ack"}', b'{"type":"ack","id":-1}',
           b'{"type":"ack","id":1e9}', b'{"type":"ack","id":99999999999999999999}', b'{"type":"ack","through":2147483647}',
           b'{"type":"refuse","id":0}', b'{"type":"closed","count":-5}', b'{"type":"closed","count":4294967295}',
           b'{"type":"pong","id":1}', b'{"type":"hello"}', b'{"type":"ready"}' * 2, b"[" * 4000, b'{"a":' * 1000,
           b'{"type":"ready\\u0000"}', b"\xff\xfe", b'{"type":"' + b"x" * 8000 + b'"}', b" " * 8192, b"x" * 60000]

if how == "exit at once":
    sys.exit(1)
if how == "close the channel at once":
    channel.close()
    time.sleep(3600)
if how == "another version":
    say(type="hello", version=99)
    time.sleep(3600)
if how == "fork":
    for _ in range(5):
        if os.fork() == 0:
            time.sleep(3600)
say(type="hello", version=1)
if how == "leave at once":
    say(type="bye")
    time.sleep(3600)
say(type="ready")
if how == "garbage":
    for number in range(3000):
        send(choose.choice(GARBAGE) if number % 3 else choose.randbytes(choose.randrange(1, 300)))
    for message in connections():
        send(choose.choice(GARBAGE))
        say(type="ack", id=message["id"])
elif how == "files":
    null = os.open("/dev/null", os.O_RDONLY)
    for number in range(500):
        send(choose.choice(GARBAGE), [null] * choose.choice([1, 2, 250]))
    for message in connections():
        send(b'{"type":"ack","id":%d}' % message["id"], [null] * 250)
elif how == "flood":
    channel.setblocking(True)
    while True:
        send(b'{"type":"closed","count":1}')
elif how == "acknowledge and refuse":
    for message in connections():
        if message["type"] == "connection":
            for kind in ("ack", "refuse", "ack", "refuse"):
                say(type=kind, id=message["id"])
            say(type="ack", through=message["id"])
            say(type="ack", id=message["id"] + 1)
elif how == "refuse and go":
    for message in connections():
        say(type="refuse", id=message["id"])
        sys.exit(0)
elif how == "die at a connection":
    for message in connections():
        os.kill(os.getpid(), 9)
elif how == "close the channel at a connection":
    for message in connections():
        channel.close()
        time.sleep(3600)
elif how == "shut down one direction":
    channel.shutdown(socket.SHUT_WR)
    time.sleep(3600)
elif how == "never read":
    time.sleep(3600)
elif how == "exit after a moment":
    time.sleep(0.02)
elif how == "fork":
    time.sleep(3600)
