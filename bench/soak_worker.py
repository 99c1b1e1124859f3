#!/usr/bin/python3
"""The worker of bench/soak: protocol limpet, one process. "GET /pin/..." is answered with its pid, and from then on every line is
sent back; anything else is answered and closed. SIGUSR1 closes the channel and nothing else."""
import json
import os
import selectors
import signal
import socket

PID = os.getpid()
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%d" % (len(str(PID)), PID)


class Worker:
    def __init__(self):
        self.channel = socket.socket(fileno=int(os.environ["LIMPET_FD"]))
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.channel, selectors.EVENT_READ, self.on_channel)
        self.clients = {}  # socket: [bytes read, bytes to write, pinned]
        self.draining = False

    def on_channel(self, _):
        # One a call: recv_fds() ignores flags, and would wait for a second.
        data, fds, _, _ = socket.recv_fds(self.channel, 8192, 4)
        if not data:
            os._exit(0)
        message = json.loads(data)
        if message["type"] == "connection":
            connection = socket.socket(fileno=fds[0])
            connection.setblocking(False)
            self.tell(type="ack", id=message["id"])
            self.clients[connection] = [b"", b"", False]
            self.selector.register(connection, selectors.EVENT_READ, self.on_client)
        elif message["type"] == "ping":
            self.tell(type="pong", id=message["id"])
        elif message["type"] == "drain":
            self.draining = True

    def tell(self, **message):
        self.channel.send(json.dumps(message).encode())

    def on_client(self, connection):
        state = self.clients[connection]
        try:
            data = connection.recv(65536)
        except BlockingIOError:
            data = None
        except OSError:
            data = b""
        if data == b"":
            self.forget(connection)
            return
        state[0] += data or b""
        if state[2]:
            whole = state[0].rfind(b"\n") + 1
            state[1] += state[0][:whole]
            state[0] = state[0][whole:]
        elif b"\r\n\r\n" in state[0]:
            head, state[0] = state[0].split(b"\r\n\r\n", 1)
            state[2] = head.startswith(b"GET /pin/")
            state[1] += ANSWER
        try:
            while state[1]:
                state[1] = state[1][connection.send(state[1]):]
        except BlockingIOError:
            pass
        except OSError:
            state[2] = False
        if not state[2] and not state[1] and state[0] == b"":
            self.forget(connection)
        else:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if state[1] else 0)
            self.selector.modify(connection, events, self.on_client)

    def forget(self, connection):
        self.selector.unregister(connection)
        del self.clients[connection]
        connection.close()

    def close_channel(self):
        if self.channel.fileno() >= 0:
            self.selector.unregister(self.channel)
            self.channel.close()

    def run(self):
        signal.signal(signal.SIGUSR1, lambda *_: self.close_channel())
        self.tell(type="hello", version=1, pool=os.environ["LIMPET_POOL"], slot=os.environ["LIMPET_SLOT"])
        self.tell(type="ready")
        while not (self.draining and not self.clients):
            for key, _ in self.selector.select():
                if key.fileobj.fileno() >= 0:
                    key.data(key.fileobj)


Worker().run()
