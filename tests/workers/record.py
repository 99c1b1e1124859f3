"""A worker of protocol limpet that tells each client who it is and what it was told of the client, as one line of JSON, and
then sends back every byte as it came. Ends with its channel, or when it was told to drain and its last client has gone.

Arguments change one thing each:
    never-ready           says nothing at all
    silent                takes connections, but acknowledges none
    refuse                refuses all connections
    ready-when PATH       is ready once the file is there
    only-slot SLOT MODE   behaves like this in one slot only
"""
import contextlib
import json
import os
import selectors
import socket
import sys
import time

ME = {"pid": os.getpid(), "slot": os.environ["LIMPET_SLOT"], "generation": int(os.environ["LIMPET_GENERATION"]),
      "pool": os.environ["LIMPET_POOL"]}


class Client:
    def __init__(self, worker, connection, message):
        self.worker = worker
        self.connection = connection
        self.pending = json.dumps({**ME, **message}).encode() + b"\n"
        self.ended = False
        connection.setblocking(False)
        worker.clients.add(self)
        worker.selector.register(connection, selectors.EVENT_READ, self.on_event)
        self.send()

    def close(self):
        self.worker.selector.unregister(self.connection)
        self.connection.close()
        self.worker.clients.discard(self)

    def send(self):
        with contextlib.suppress(BlockingIOError):
            self.pending = self.pending[self.connection.send(self.pending):]
        if self.pending:
            events = selectors.EVENT_WRITE
        elif self.ended:
            self.close()
            return
        else:
            events = selectors.EVENT_READ
        self.worker.selector.modify(self.connection, events, self.on_event)

    def on_event(self, events):
        try:
            if events & selectors.EVENT_READ:
                data = self.connection.recv(262144)
                self.ended = not data
                self.pending += data
            self.send()
        except BlockingIOError:
            pass
        except OSError:
            self.close()


class Worker:
    def __init__(self, mode):
        self.mode = mode
        self.clients = set()
        self.draining = False
        self.selector = selectors.DefaultSelector()
        self.channel = socket.socket(fileno=int(os.environ["LIMPET_FD"]))

    def say(self, **message):
        self.channel.send(json.dumps(message).encode())

    def on_connection(self, message, fds):
        connection = socket.socket(fileno=fds[0])
        number = message["id"]
        if self.mode == "refuse":
            connection.close()
            self.say(type="refuse", id=number)
            return
        if self.mode == "silent":
            self.clients.add(connection)
            return
        self.say(type="ack", id=number)
        with contextlib.suppress(OSError):
            Client(self, connection, message)

    def on_channel(self, _):
        data, fds, _, _ = socket.recv_fds(self.channel, 65536, 1)
        if not data:
            sys.exit(0)
        message = json.loads(data)
        if message["type"] == "connection":
            self.on_connection(message, fds)
        elif message["type"] == "ping":
            self.say(type="pong", id=message["id"])
        elif message["type"] == "drain":
            self.draining = True

    def run(self):
        self.selector.register(self.channel, selectors.EVENT_READ, self.on_channel)
        self.say(type="hello", version=1, pool=ME["pool"], slot=ME["slot"])
        self.say(type="ready")
        while not (self.draining and not self.clients):
            for key, events in self.selector.select():
                if key.fileobj.fileno() >= 0:
                    key.data(events)


def main():
    arguments = sys.argv[1:]
    if arguments[:1] == ["only-slot"]:
        arguments = arguments[2:] if arguments[1] == ME["slot"] else []
    mode = arguments[0] if arguments else ""
    while mode == "never-ready" or (mode == "ready-when" and not os.path.exists(arguments[1])):
        time.sleep(0.01)
    Worker(mode).run()


main()
