"""External workers: scripted ones (workers/scripted.py) that a test starts itself, and that join the pool of a scene."""
import json
import os
import pathlib
import signal
import socket
import subprocess

from harness.scene import SCRIPTED, Told
from harness.wait import wait_until


class Externals:
    """The workers of one scene; all are ended at the end of the test."""

    def __init__(self, play, directory):
        self.play = play
        self.directory = pathlib.Path(directory)
        self.processes = []

    @property
    def path(self):
        return self.play.config["pools"]["app"]["socket"]

    def start(self, slot=None, command=None, start=None, **environment):
        """The process; it joins by itself."""
        environment = {**os.environ, "FAULT_DIR": str(self.directory), "FAULT_START": json.dumps(start or {}),
                       "LIMPET_SOCKET": self.path, "LIMPET_POOL": "app", **environment}
        if slot is not None:
            environment["LIMPET_SLOT"] = slot
        process = subprocess.Popen(command or SCRIPTED, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
        self.processes.append(process)
        return process

    def joined(self, slot=None, **options):
        """A worker that is ready, to be told."""
        return self.told(self.start(slot, **options))

    def told(self, process):
        slot = wait_until(lambda: self.slot_of(process.pid), f"worker {process.pid} ready; log:\n{self.play.front.text()}")
        return Told(self.directory, slot, process.pid)

    def slot_of(self, pid):
        """The slot in which it is ready."""
        for slot in self.play.pool()["slots"]:
            if slot["pid"] == pid and slot["state"] == "ready":
                return slot["slot"]
        return None

    def connect(self):
        """A connection that has said nothing yet."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.settimeout(10)
        connection.connect("\0" + self.path[1:] if self.path.startswith("@") else self.path)
        return connection

    def ask(self, message, fds=()):
        """What a hello is answered with, and the connection."""
        connection = self.connect()
        data = message if isinstance(message, bytes) else json.dumps(message).encode()
        socket.send_fds(connection, [data], fds)
        return json.loads(connection.recv(8192) or "{}"), connection

    def end(self):
        for process in self.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def hello(**members):
    return {"type": "hello", "version": 1, **members}
