"""limpet, played by a test for one worker of protocol limpet: passes sockets over the channel and reads what the worker says."""
import json
import os
import socket
import subprocess

from harness.http import Connection


class Front:
    def __init__(self, command, slot="2", pool="demo", env=(), cwd=None):
        self.channel, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.channel.settimeout(10)
        environment = {**os.environ, **dict(env), "LIMPET_FD": str(far.fileno()), "LIMPET_POOL": pool, "LIMPET_SLOT": slot,
                       "LIMPET_GENERATION": "3"}
        self.worker = subprocess.Popen(command, pass_fds=[far.fileno()], env=environment, cwd=cwd, stdin=subprocess.DEVNULL,
                                       stderr=subprocess.PIPE)
        far.close()
        self.next_id = 0
        self.closed = 0

    def read(self):
        """The next message but `closed`, which is counted."""
        while True:
            data = self.channel.recv(65536)
            assert data, "the worker closed the channel"
            message = json.loads(data)
            if message["type"] != "closed":
                return message
            self.closed += message["count"]

    def wait_closed(self, count):
        while self.closed < count:
            message = json.loads(self.channel.recv(65536))
            assert message["type"] == "closed", message
            self.closed += message["count"]
        assert self.closed == count

    def send(self, message, fd=None):
        data = message if isinstance(message, bytes) else json.dumps(message).encode()
        socket.send_fds(self.channel, [data], [] if fd is None else [fd])

    def pass_on(self, key="cookie"):
        """Passes one end of a TCP connection, and returns the other."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            near = socket.create_connection(server.getsockname())
            far, address = server.accept()
        self.next_id += 1
        self.send({"type": "connection", "id": self.next_id, "listener": "web", "key": key,
                   "client": f"{address[0]}:{address[1]}", "unknown": [1]}, far.fileno())
        far.close()
        return Connection(near)

    def connect(self, key="cookie"):
        """The same, when the worker has acknowledged."""
        connection = self.pass_on(key)
        assert self.read() == {"type": "ack", "id": self.next_id}
        return connection

    def end(self):
        """Ends the worker, which must have had no trouble."""
        if self.worker.poll() is None:
            self.worker.terminate()
        _, stderr = self.worker.communicate(timeout=10)
        self.channel.close()
        assert b"Sanitizer" not in stderr and b"runtime error" not in stderr, stderr.decode()
        return stderr.decode()
