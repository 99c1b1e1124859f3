"""Runs the limpet that was built, watches its log, and checks that it leaves nothing behind."""
import collections
import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import threading
import time
import uuid

from harness import paths
from harness.wait import wait_until

MARK = "LIMPET_TEST_RUN"
LISTENING = re.compile(r"listening on (\S+)(?<!/udp)(?: \(pool (\S+)\))?$")
READY = re.compile(r"pool (\S+): worker (\S+) \(pid (\d+)\) ready")

Ready = collections.namedtuple("Ready", "pool slot pid")


class Limpet:
    """limpet started with

    command    what follows "--" (a list), or None
    listen     -l, an address or a list of them
    sticky     -s, one or a list
    workers    -n
    protocol   -p
    config     a dict that is written to a file and given with -c
    arguments  more of them, before the command
    env        added to the environment
    control    the control socket's path, if it is to be a certain one
    launcher   a command that executes limpet in its place, before its own
    pass_fds   that it inherits
    """

    def __init__(self, directory, command=None, *, listen=(), sticky=(), workers=None, protocol=None, config=None,
                 arguments=(), env=(), cwd=None, control=None, launcher=(), pass_fds=()):
        self.directory = pathlib.Path(directory)
        self.mark = uuid.uuid4().hex
        self.control = control or self.directory / f"control-{self.mark[:6]}.sock"
        self.lines = []
        self._changed = threading.Condition()
        self.config_file = None
        self.arguments = [str(paths.limpet()), "--control", str(self.control)]
        if config is not None:
            self.config_file = self.directory / f"limpet-{self.mark[:6]}.json"
            self.write_config(config)
            self.arguments += ["-c", str(self.config_file)]
        for option, values in (("-l", listen), ("-s", sticky)):
            for value in [values] if isinstance(values, str) else values:
                self.arguments += [option, value]
        if workers is not None:
            self.arguments += ["-n", str(workers)]
        if protocol is not None:
            self.arguments += ["-p", protocol]
        self.arguments += [str(argument) for argument in arguments]
        if command is not None:
            self.arguments += ["--", *map(str, command)]
        self.process = subprocess.Popen(
            [*launcher, *self.arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, MARK: self.mark, **dict(env)}, cwd=cwd, start_new_session=True,
            pass_fds=pass_fds)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    # The log: limpet's lines and what its workers print.

    def _read(self):
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line.decode("utf-8", "replace").rstrip("\n"))
                self._changed.notify_all()

    def text(self):
        with self._changed:
            return "\n".join(self.lines)

    def mark_log(self):
        """A place in the log, for wait_for(after=...)."""
        with self._changed:
            return len(self.lines)

    def wait_for(self, pattern, seconds=15.0, after=0, count=1):
        """Waits until `count` lines match; returns the match of the last of them."""
        end = time.monotonic() + seconds
        with self._changed:
            while True:
                matches = [match for line in self.lines[after:] if (match := re.search(pattern, line))]
                if len(matches) >= count:
                    return matches[count - 1]
                left = end - time.monotonic()
                if left <= 0 or (self.process.poll() is not None and not self._reader.is_alive()):
                    raise AssertionError(f"no line {pattern!r} (count {count}) in:\n" + "\n".join(self.lines))
                self._changed.wait(min(left, 0.1))

    # Where it listens and who is ready.

    def listening(self):
        """[(address, pool)]: an address is (host, port) or a path."""
        found = []
        for match in map(LISTENING.search, self.text().splitlines()):
            if match:
                found.append((parse_address(match[1]), match[2]))
        return found

    @property
    def address(self):
        """The first address that it listens on, as a client connects to it."""
        self.wait_for(LISTENING)
        return reachable(self.listening()[0][0])

    @property
    def port(self):
        return self.address[1]

    def ready(self):
        """Everybody who ever said so, in order."""
        return [Ready(match[1], match[2], int(match[3]))
                for match in map(READY.search, self.text().splitlines()) if match]

    def wait_ready(self, workers, seconds=30.0):
        """Waits until so many different slots are ready, and returns {slot: pid}."""
        slots = wait_until(lambda: self._ready_slots(workers), f"{workers} workers ready; log:\n{self.text()}", seconds)
        return slots

    def _ready_slots(self, workers):
        assert self.process.poll() is None, f"limpet ended with {self.process.returncode}:\n{self.text()}"
        slots = {ready.slot: ready.pid for ready in self.ready()}
        return slots if len(slots) >= workers else None

    def wait_replaced(self, slot, pid, seconds=30.0):
        """Waits until another process than pid is ready in the slot; returns its pid."""
        def replaced():
            last = [ready.pid for ready in self.ready() if ready.slot == slot][-1:]
            return last[0] if last and last[0] != pid else None
        return wait_until(replaced, f"slot {slot} replaced; log:\n{self.text()}", seconds)

    # Its processes and files.

    def pids(self, name=None):
        """Every living process of this limpet, workers included; or those whose comm is `name`."""
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            with contextlib.suppress(OSError):
                environment = pathlib.Path("/proc", entry, "environ").read_bytes()
                status = pathlib.Path("/proc", entry, "stat").read_text()
                comm = status[status.index("(") + 1:status.rindex(")")]
                state, _, _, session = status.rsplit(")", 1)[1].split()[:4]
                # A process that set its title has no environment to be read; one that left the session has.
                ours = f"{MARK}={self.mark}".encode() in environment.split(b"\0") or int(session) == self.process.pid
                if ours and state not in "ZX" and name in (None, comm):
                    found.append(int(entry))
        return found

    def router(self):
        """The pid of the router."""
        return wait_until(lambda: self.pids("limpet-router"), "a router process")[0]

    @staticmethod
    def open_files(pid):
        return len(os.listdir(f"/proc/{pid}/fd"))

    # Talking to it.

    def write_config(self, config):
        self.config_file.write_text(json.dumps(config, indent=2), encoding="utf-8")

    def send_signal(self, number):
        self.process.send_signal(number)

    def ctl(self, *arguments, check=True):
        done = subprocess.run([paths.limpetctl(), "-S", self.control, *arguments], capture_output=True, text=True,
                              timeout=30, check=False)
        assert not check or done.returncode == 0, f"limpetctl {arguments}: {done.returncode}: {done.stderr}"
        return done.stdout if check else done

    def status(self):
        return json.loads(self.ctl("-j", "status"))

    # Its end.

    def wait(self, seconds=15.0):
        """Waits for the end and returns the exit status; the log is then complete."""
        status = self.process.wait(seconds)
        self._reader.join(5)
        return status

    def stop(self, number=signal.SIGTERM, seconds=20.0, expected=0):
        """Ends limpet and checks that it ended well and left no process."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            status = None
        left = []
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not self.pids(), "no process left", 5)
        left = self.pids()
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self._reader.join(5)
        assert status is not None, f"limpet did not end within {seconds} s; log:\n{self.text()}"
        assert not left, f"processes left behind: {left}; log:\n{self.text()}"
        for sign in ("Sanitizer", "runtime error:", "Bad system call"):
            assert sign not in self.text(), f"{sign}; log:\n{self.text()}"
        if expected is not None:
            assert status == expected, f"limpet ended with {status}; log:\n{self.text()}"
        return status


def parse_address(text):
    if text.startswith(("unix:", "/", "@")):
        text = text.removeprefix("unix:")
        return "\0" + text[1:] if text.startswith("@") else text
    host, port = text.rsplit(":", 1)
    return host.strip("[]"), int(port)


def reachable(address):
    """What a client connects to: 127.0.0.1 for any-address listeners."""
    if isinstance(address, str):
        return address
    host, port = address[:2]
    return ("127.0.0.1" if host in ("::", "0.0.0.0") else host, port)
