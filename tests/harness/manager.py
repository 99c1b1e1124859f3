"""A service manager as systemd is one: takes messages on a socket, keeps fds, and passes them to the next start."""
import os
import pathlib
import socket
import sys
import threading
import time

ACTIVATE = pathlib.Path(__file__).with_name("activate.py")


class Manager:
    """Use it with `with`. `messages` is what came, each a dict; `store` what it keeps: {name: fd}."""

    def __init__(self, directory):
        self.path = str(pathlib.Path(directory) / "notify")
        self.messages = []
        self.store = {}
        self._changed = threading.Condition()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ending:
            ending.sendto(b"", self.path)
        self._thread.join(5)
        self._socket.close()
        for fd in self.store.values():
            os.close(fd)

    def _read(self):
        while True:
            data, fds, _, _ = socket.recv_fds(self._socket, 65536, 16)
            if not data:
                return
            with self._changed:
                self._take(dict(line.split("=", 1) for line in data.decode().split("\n")), fds)
                self._changed.notify_all()

    def _take(self, message, fds):
        self.messages.append(message)
        if "FDSTOREREMOVE" in message:
            os.close(self.store.pop(message["FDNAME"]))
        elif "FDSTORE" in message:
            assert len(fds) == 1 and message["FDNAME"] not in self.store, (message, self.store)
            self.store[message["FDNAME"]] = fds.pop()
        for fd in fds:
            os.close(fd)

    # What was said.

    def mark(self):
        with self._changed:
            return len(self.messages)

    def since(self, mark=0):
        with self._changed:
            return self.messages[mark:]

    def wait_for(self, name, value=None, after=0, seconds=15.0):
        """Waits for a message that has this name, and this value if it is given; returns the message."""
        end = time.monotonic() + seconds
        with self._changed:
            while True:
                for message in self.messages[after:]:
                    if name in message and value in (None, message[name]):
                        return message
                left = end - time.monotonic()
                assert left > 0, f"no message {name}={value or '...'} in {self.messages[after:]}"
                self._changed.wait(left)

    def stored(self, count):
        """Waits until so many fds are kept; returns their names."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.store) == count, 15), (self.store, self.messages)
            return sorted(self.store)

    # What a limpet is started with.

    def options(self, given=(), **env):
        """For limpet(): what was stored is passed, and the given sockets: [(name, socket)]."""
        fds = [(one.fileno(), name) for name, one in given] + [(fd, name) for name, fd in self.store.items()]
        return {**passing(fds), "env": {"NOTIFY_SOCKET": self.path, **env}}


def passing(fds):
    """Options for limpet() that pass it these: [(fd, name)]."""
    return {
        "launcher": [sys.executable, str(ACTIVATE), *(f"{fd}:{name}" for fd, name in fds), "--"],
        "pass_fds": [fd for fd, _ in fds],
    }
