#!/usr/bin/python3
"""An ordinary prefork server, that answers as scripted.py does, and keeps the same journal: prefork.py CHILDREN [drops]. The parent
accepts nothing; its children outlive it, and SIGTERM. drops: the first connection is taken and lost, as by one who is killed in
accept()."""
import json
import os
import signal
import socket
import sys

journal = os.open(os.path.join(os.environ["FAULT_DIR"], "journal"), os.O_WRONLY | os.O_APPEND)
listening = socket.socket()
listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listening.bind(("127.0.0.1", 0))
listening.listen(100)
signal.signal(signal.SIGTERM, signal.SIG_IGN)


def serve():
    who = {"slot": os.environ["LIMPET_SLOT"], "generation": int(os.environ["LIMPET_GENERATION"]), "pid": os.getpid()}
    if sys.argv[2:] == ["drops"]:
        os.read(listening.fileno(), 65536)
    while True:
        connection, _ = listening.accept()
        with connection:
            head = b""
            while b"\r\n\r\n" not in head:
                more = connection.recv(65536)
                if not more:
                    break
                head += more
            else:
                number = int(head.split()[1].strip(b"/"))
                os.write(journal, f"{number} {who['slot']} {who['generation']} {who['pid']}\n".encode())
                body = json.dumps({"number": number, **who}).encode()
                connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


for _ in range(int(sys.argv[1])):
    if os.fork() == 0:
        serve()
while True:
    signal.pause()
