"""A limpet with scripted workers (workers/scripted.py), and the journal of what they served."""
import collections
import contextlib
import itertools
import json
import os
import pathlib
import resource
import signal
import socket

from harness import paths
from harness.http import Connection, get, request
from harness.load import SERVED, Load
from harness.wait import wait_until

SCRIPTED = ["/usr/bin/python3", "-S", "-E", str(paths.TESTS / "workers" / "scripted.py")]

Served = collections.namedtuple("Served", "number slot generation pid")


class Told:
    """A running scripted worker, which obeys: worker.acknowledge(how="never")."""

    def __init__(self, directory, slot, pid):
        self.directory = directory
        self.slot = slot
        self.pid = pid

    def __getattr__(self, command):
        return lambda **options: self.tell(do=command, **options)

    def tell(self, **command):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
            connection.bind("")  # an abstract name: where the answer goes
            connection.settimeout(10)
            connection.sendto(json.dumps(command).encode(), str(self.directory / f"{self.pid}.sock"))
            return json.loads(connection.recv(65536))

    def signal(self, number):
        os.kill(self.pid, number)

    def state(self):
        """The letter of /proc/PID/stat, or None."""
        with contextlib.suppress(OSError):
            return pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        return None


class Asked:
    """A client that has asked and not yet read the answer."""

    def __init__(self, number, connection):
        self.number = number
        self.connection = connection

    def answer(self):
        """Who served it; the number is checked."""
        with self.connection:
            response = self.connection.response()
        assert response.status == 200, response
        answer = response.json()
        assert answer["number"] == self.number
        return answer

    def status(self):
        with self.connection:
            return self.connection.response().status


class Half(Asked):
    """A client that has sent half of its request head."""

    def __init__(self, number, connection, rest):
        super().__init__(number, connection)
        self.rest = rest

    def finish(self):
        self.connection.send(self.rest)


class Scene:
    """pool, listener: more of their keys. start: what workers begin with, as FAULT_START has it."""

    def __init__(self, limpet, directory, workers=2, *, sticky="ip", listener=(), start=None, environment=(), wait=True,
                 command=None, wrap=(), **pool):
        self.directory = pathlib.Path(directory)
        self.numbers = itertools.count(1)
        self.asked = []  # numbers of requests that were made one by one
        secret = self.directory / "secret"
        secret.write_bytes(bytes(range(32)))
        (self.directory / "journal").touch()
        os.chmod(self.directory / "journal", 0o666)
        self.environment = {"FAULT_DIR": str(self.directory), "FAULT_START": json.dumps(start or {}), **dict(environment)}
        self.config = {
            "hash_secret": str(secret),
            "listeners": {"web": {"address": "127.0.0.1:0", "sticky": sticky, **dict(listener)}},
            "pools": {"app": {"command": command or SCRIPTED, "protocol": "limpet", "workers": workers,
                              "environment": self.environment, "drain_timeout": "2s", "kill_timeout": "1s", **pool}}}
        if command and "protocol" not in pool:
            del self.config["pools"]["app"]["protocol"]
        if not workers:
            del self.config["pools"]["app"]["command"]
        self.front = limpet(config=self.config)
        if wait and workers:
            self.front.wait_ready(workers)

    # limpet.

    def control(self, command, **options):
        """What the control socket answers. During an upgrade there is none for a moment."""
        return wait_until(lambda: self.control_once(command, **options), f"control socket; log:\n{self.front.text()}")

    def control_once(self, command, **options):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            try:
                connection.connect(str(self.front.control))
                connection.sendall(json.dumps({"command": command, **options}).encode() + b"\n")
                answer = b"".join(iter(lambda: connection.recv(65536), b""))
            except (ConnectionError, FileNotFoundError):
                return None
        return json.loads(answer) if answer else None

    def status(self):
        return self.control("status")

    def counter(self, name):
        return self.status()["counters"][name]

    def pool(self):
        return self.status()["pools"]["app"]

    def slot(self, name):
        return next(slot for slot in self.pool()["slots"] if slot["slot"] == name)

    def wait_counter(self, name, least, seconds=10.0):
        return wait_until(lambda: self.counter(name) >= least, f"counter {name} >= {least}", seconds)

    def wait_slot(self, name, seconds=10.0, **wanted):
        """Until the slot's status is so: wait_slot("0", waiting=3)."""
        wait_until(lambda: {key: self.slot(name).get(key) for key in wanted} == wanted, f"slot {name}: {wanted}", seconds)

    def router(self):
        """Never 0, which os.kill() would take for this test's own process group."""
        return wait_until(lambda: self.status()["router_pid"], "a router process")

    def limit_router_files(self, files):
        """Replaces the router by one that may open so many files; returns its pid."""
        supervisor, old = self.front.process.pid, self.router()
        limits = resource.prlimit(supervisor, resource.RLIMIT_NOFILE)
        resource.prlimit(supervisor, resource.RLIMIT_NOFILE, (files, limits[1]))
        os.kill(old, signal.SIGKILL)
        new = wait_until(lambda: (pid := self.router()) != old and pid, "another router")
        resource.prlimit(supervisor, resource.RLIMIT_NOFILE, limits)
        self.get()
        return new

    def files(self):
        """How many files limpet's processes have open, when nothing is under way: (supervisor, router)."""
        wait_until(lambda: all(slot["unacknowledged"] == slot["waiting"] == 0 for slot in self.pool()["slots"]),
                   "no hand-off under way")
        count = self.front.open_files
        return count(self.front.process.pid), count(self.router())

    def wait_files(self, before, seconds=10.0):
        """Until as few files are open again as before."""
        wait_until(lambda: all(now <= then for now, then in zip(self.files(), before)), f"files back to {before}", seconds)

    # Workers.

    def worker(self, slot):
        """The worker that serves this slot now, ready to be told."""
        pid = wait_until(lambda: self.slot(slot)["state"] == "ready" and self.slot(slot)["pid"], f"slot {slot} ready")
        return Told(self.directory, slot, pid)

    # Clients.

    @property
    def address(self):
        return self.front.address

    def get(self, source=None, **options):
        """One request: who served it."""
        number = next(self.numbers)
        self.asked.append(number)
        response = get(self.address, f"/{number}", source=source, **options)
        assert response.status == 200, response
        answer = response.json()
        assert answer["number"] == number, answer
        return answer

    def ask(self, source=None, path="/{}", **options):
        number = next(self.numbers)
        self.asked.append(number)
        connection = Connection(self.address, source, timeout=20)
        connection.send(request(path.format(number), **options))
        return Asked(number, connection)

    def ask_stopped(self, slot, count):
        """Stops the slot's worker and asks so often: what was handed off lies in its channel. The worker, its client, those asked."""
        home, source = self.worker(slot), self.source(slot)
        home.signal(signal.SIGSTOP)
        asked = [self.ask(source) for _ in range(count)]
        self.wait_slot(slot, unacknowledged=count)
        return home, source, asked

    def kill_router(self):
        """Kills it, and returns when there is another."""
        old = self.router()
        os.kill(old, signal.SIGKILL)
        wait_until(lambda: self.router() != old, "another router")

    def half(self, source=None):
        number = next(self.numbers)
        self.asked.append(number)
        connection = Connection(self.address, source, timeout=20)
        head = request(f"/{number}")
        connection.send(head[:-3])
        return Half(number, connection, head[-3:])

    def sources(self, slot, count=1):
        """Client addresses whose home the slot is."""
        found = []
        for number in range(1, 250):
            source = f"127.0.7.{number}"
            if self.get(source)["slot"] == slot:
                found.append(source)
            if len(found) == count:
                return found
        raise AssertionError(f"no client of slot {slot}")

    def source(self, slot):
        return self.sources(slot)[0]

    def load(self, **options):
        return Load(self.address, self.numbers, **options)

    # The account.

    def journal(self):
        lines = (self.directory / "journal").read_text().splitlines()
        return [Served(int(line.split()[0]), *line.split()[1:]) for line in lines]

    def account(self, load=None, lost=0, unserved=(), perhaps=()):
        """Everything that was asked was served exactly once. lost: so many of the load may have failed; unserved: numbers that
        must not have been served at all; perhaps: those where it is as well. Nothing may have been served twice."""
        times = collections.Counter(served.number for served in self.journal())
        outcomes = dict.fromkeys(self.asked, SERVED)
        outcomes.update(dict.fromkeys(unserved, "unserved"))
        for number in perhaps:
            outcomes.pop(number, None)
        if load:
            outcomes.update(load.outcomes)
        failed = {number: what for number, what in outcomes.items() if what != SERVED and number not in unserved}
        twice = [number for number, count in times.items() if count > 1]
        missing = [number for number, what in outcomes.items() if what == SERVED and not times[number]]
        print(f"account: attempted {len(outcomes)}, served once {sum(1 for count in times.values() if count == 1)}, "
              f"served twice {len(twice)}, lost {len(failed)}" + (f"; load: {load.summary()}" if load else ""))
        assert not twice, f"served twice: {[served for served in self.journal() if served.number in twice]}"
        assert not missing, f"answered, but not in the journal: {missing}"
        assert not [number for number in unserved if times[number]], "served, though it must not have been"
        assert len(failed) <= lost, f"{len(failed)} lost, at most {lost} may be: {failed}"
        if load:
            assert not load.broken, load.broken
        return failed
