#!/usr/bin/python3
"""A worker of protocol limpet that does what a test tells it, well or badly. See harness/scene.py for the other side.

It serves HTTP/1 by hand: "GET /N" is answered with who served it; "GET /pin/N" is answered and from then on every line that
comes is sent back. In the moment that it has read a request head it appends one line to the journal, so that what was served
twice, or not at all, can be counted afterwards.

Environment: FAULT_DIR, where the journal is and its command socket, PID.sock; FAULT_START, a JSON object of settings to begin
with: {"acknowledge": ..., "serve": ..., "ready": ...}.

Without LIMPET_FD it is an external worker: it joins at LIMPET_SOCKET, in LIMPET_SLOT if that is set, and joins again whenever its
channel ends.
"""
import json
import os
import resource
import selectors
import signal
import socket
import threading
import time

DIRECTORY = os.environ["FAULT_DIR"]
WHO = {"slot": os.environ.get("LIMPET_SLOT"), "generation": int(os.environ.get("LIMPET_GENERATION", "0")), "pid": os.getpid()}
EXTERNAL = "LIMPET_FD" not in os.environ


class Client:
    def __init__(self, connection):
        self.socket = connection
        self.buffer = b""
        self.pinned = False


class Worker:
    def __init__(self):
        self.byes = []           # limpet's reasons
        self.channel = self.join() if EXTERNAL else socket.socket(fileno=int(os.environ["LIMPET_FD"]))
        self.journal = os.open(os.path.join(DIRECTORY, "journal"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        self.selector = selectors.DefaultSelector()
        self.commands = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.commands.bind(os.path.join(DIRECTORY, f"{os.getpid()}.sock"))
        self.selector.register(self.commands, selectors.EVENT_READ, self.on_command)
        self.selector.register(self.channel, selectors.EVENT_READ, self.on_channel)
        self.clients = set()
        self.kept = []           # (id, socket): neither acknowledged nor read
        self.got = 0             # hand-offs that came
        self.fds_lost = 0        # hand-offs that came without their socket
        self.draining = False
        self.die = None          # ("before" or "after", countdown)
        self.flooding = False
        start = json.loads(os.environ.get("FAULT_START", "{}"))
        self.acknowledge = start.get("acknowledge", "at once")
        self.fails = start.get("fails", False)
        self.ready = start.get("ready", True)

    def tell(self, **message):
        try:
            self.channel.send(json.dumps(message).encode())
        except (BrokenPipeError, ConnectionResetError):
            if not EXTERNAL:
                raise

    # An external worker's way in.

    def join(self):
        """A channel of which the front has said that it is welcome. Waits for the front if need be, but not for ever."""
        path = os.environ["LIMPET_SOCKET"]
        for attempt in range(600):
            channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            try:
                channel.connect("\0" + path[1:] if path.startswith("@") else path)
                slot = {"slot": WHO["slot"]} if WHO["slot"] else {}
                channel.send(json.dumps({"type": "hello", "version": 1, "pool": os.environ["LIMPET_POOL"], **slot}).encode())
                answer = json.loads(channel.recv(8192) or "{}")
            except (ConnectionError, FileNotFoundError):
                answer = {}
            if answer.get("type") == "welcome":
                WHO.update(slot=answer["slot"], generation=answer["generation"])
                return channel
            if "reason" in answer:
                self.byes.append(answer["reason"])
            channel.close()
            time.sleep(min(0.01 * 2 ** attempt, 0.1))
        raise SystemExit(4)

    def join_again(self):
        self.selector.unregister(self.channel)
        self.channel.close()
        self.channel = self.join()
        self.selector.register(self.channel, selectors.EVENT_READ, self.on_channel)
        self.tell(type="ready")

    # The channel.

    def on_channel(self):
        try:
            data, fds, flags, _ = socket.recv_fds(self.channel, 65536, 4, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if not data and EXTERNAL:
            if self.draining:
                self.selector.unregister(self.channel)
            else:
                self.join_again()
            return
        if not data:
            os._exit(0)  # the front has gone for good
        message = json.loads(data)
        if message["type"] == "connection":
            self.on_connection(message["id"], fds, flags)
        elif message["type"] == "ping":
            if self.acknowledge != "never":
                self.tell(type="pong", id=message["id"])
        elif message["type"] == "bye":
            self.byes.append(message["reason"])
        elif message["type"] == "drain":
            self.draining = True
            self.end_if_idle()

    def on_connection(self, number, fds, flags):
        self.got += 1
        if not fds:
            # No room for one more file: the socket was never here.
            assert flags & socket.MSG_CTRUNC
            self.fds_lost += 1
            self.tell(type="refuse", id=number)
            return
        connection = socket.socket(fileno=fds[0])
        connection.setblocking(False)
        if self.die:
            when, countdown = self.die
            self.die = (when, countdown - 1)
            if countdown <= 1:
                if when == "after":
                    self.tell(type="ack", id=number)
                os.kill(os.getpid(), signal.SIGKILL)
        if self.acknowledge == "never":
            self.kept.append((number, connection))
        elif self.acknowledge == "refuse":
            self.tell(type="refuse", id=number)
            connection.close()
        else:
            self.take(number, connection)

    def take(self, number, connection):
        if self.acknowledge == "foreign":
            # Not the next number: it may have been given out when the router reads this, and to refuse that is the worker's right.
            for other in (number - 1, number + 1024, number + 65536, 0, 2 ** 31 - 1, -1, 2 ** 40):
                self.tell(type="ack", id=other)
                self.tell(type="refuse", id=other)
        self.tell(type="ack", id=number)
        if self.acknowledge == "twice":
            self.tell(type="ack", id=number)
            self.tell(type="refuse", id=number)
            self.tell(type="ack", through=number)
        client = Client(connection)
        self.clients.add(client)
        self.selector.register(connection, selectors.EVENT_READ, lambda: self.on_client(client))

    def take_kept(self):
        kept, self.kept = self.kept, []
        for number, connection in kept:
            self.take(number, connection)

    # Clients.

    def on_client(self, client):
        try:
            data = client.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.forget(client)
            return
        client.buffer += data
        try:
            if client.pinned:
                *lines, client.buffer = client.buffer.split(b"\n")
                client.socket.sendall(b"".join(line + b"\n" for line in lines))
            elif b"\r\n\r\n" in client.buffer:
                self.serve(client)
        except OSError:
            self.forget(client)

    def serve(self, client):
        head, client.buffer = client.buffer.split(b"\r\n\r\n", 1)
        path = head.split()[1].decode().split("?")[0].strip("/")
        number = int(path.removeprefix("pin/"))
        os.write(self.journal, f"{number} {WHO['slot']} {WHO['generation']} {WHO['pid']}\n".encode())
        body = json.dumps({"number": number, **WHO}).encode()
        client.pinned = path.startswith("pin/")
        client.socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        if not client.pinned:
            self.forget(client)

    def forget(self, client):
        self.selector.unregister(client.socket)
        client.socket.close()
        self.clients.discard(client)
        self.end_if_idle()

    def end_if_idle(self):
        if self.draining and not self.clients and not self.kept:
            os._exit(0)

    # What a test tells it.

    def on_command(self):
        data, sender = self.commands.recvfrom(65536)
        command = json.loads(data)
        answer = getattr(self, "do_" + command.pop("do"))(**command)
        self.commands.sendto(json.dumps(answer).encode(), sender)

    def do_report(self):
        return {"got": self.got, "kept": len(self.kept), "fds_lost": self.fds_lost, "clients": len(self.clients),
                "draining": self.draining, "byes": self.byes}

    def do_acknowledge(self, how):
        """"at once", "never" (and does not read: keeps it), "twice", "foreign" (what it never got), "refuse"."""
        self.acknowledge = how
        if how == "at once":
            self.take_kept()
        return True

    def do_die(self, when, after=1):
        """At the `after`-th hand-off from now, "before" or "after" it is acknowledged; it is not read."""
        self.die = (when, after)
        return True

    def do_tell(self, message):
        """Any message."""
        self.tell(**message)
        return True

    def do_stop_reading(self):
        self.selector.unregister(self.channel)
        return True

    def do_shut_down_sending(self):
        """Says no more, but could still read."""
        self.channel.shutdown(socket.SHUT_WR)
        return True

    def do_shut_down_reading(self):
        """For the front it is dead, but for the end of the stream."""
        self.selector.unregister(self.channel)
        self.channel.shutdown(socket.SHUT_RD)
        return True

    def do_close_channel_only(self):
        """After do_stop_reading."""
        self.channel.close()
        return True

    def do_close_channel(self):
        self.selector.unregister(self.channel)
        self.channel.close()
        return True

    def do_fill_files(self):
        """Uses up all the files that it may open."""
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        self.files = []
        try:
            while True:
                self.files.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            return len(self.files)

    def do_ready(self, die=False):
        """Says so, where FAULT_START had it say nothing; and dies at once."""
        self.tell(type="ready")
        if die:
            os.kill(os.getpid(), signal.SIGKILL)
        return True

    def do_free_files(self):
        for fd in self.files:
            os.close(fd)
        return True

    def do_send(self, what, count=1):
        """Bad messages, from this thread: `what` as below."""
        for _ in range(count):
            self.send_bad(what)
        return True

    def do_flood(self, what):
        """The same without end, from a thread of its own, until do_calm."""
        self.flooding = True
        threading.Thread(target=self.flood, args=(what,), daemon=True).start()
        return True

    def do_calm(self):
        self.flooding = False
        return True

    def flood(self, what):
        while self.flooding:
            self.send_bad(what)

    def send_bad(self, what):
        if what == "pongs":
            self.tell(type="pong", id=1)
        elif what == "pings":
            self.tell(type="ping", id=1)
        elif what == "stats":
            self.tell(type="stats", values={f"value_{n}": n for n in range(16)})
        elif what == "unknown":
            self.tell(type="weather", forecast=["rain"] * 20)
        elif what == "garbage":
            self.channel.send(b"{\"type\":\"ack\",\"id\":" + os.urandom(64))
        elif what == "invalid UTF-8":
            self.channel.send(b"{\"type\":\"ready\xff\xfe\",\"id\":\"\xc3\x28\"}")
        elif what == "nested":
            self.channel.send(b"[" * 8000)
        elif what == "another version":
            self.tell(type="hello", version=9)
        elif what == "empty object":
            self.channel.send(b"{}")
        elif what == "fds":
            with open("/dev/null", "rb") as null:
                socket.send_fds(self.channel, [b"{\"type\":\"closed\",\"count\":1}"], [null.fileno()] * 200)
        elif what == "1 MB":
            # SO_SNDBUFFORCE needs a privilege; without it the largest message is smaller.
            for option in (32, socket.SO_SNDBUF):
                try:
                    self.channel.setsockopt(socket.SOL_SOCKET, option, 4 << 20)
                except PermissionError:
                    pass
            size = self.channel.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // 2
            self.channel.send(b"{\"type\":\"" + b"x" * (min(1 << 20, size) - 11) + b"\"}")
        else:
            raise ValueError(what)

    def run(self):
        if self.fails:
            raise SystemExit(3)
        if not EXTERNAL:
            self.tell(type="hello", version=1, pool=os.environ["LIMPET_POOL"], slot=WHO["slot"])
        if self.ready:
            self.tell(type="ready")
        while True:
            for key, _ in self.selector.select():
                if key.fileobj.fileno() >= 0:
                    key.data()


if __name__ == "__main__":
    Worker().run()
