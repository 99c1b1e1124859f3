"""Runs the load client and the measurements around it."""
import json
import subprocess

import machine
from fronts import LOAD, Failed


class Load:
    """The load client, which prints a line of JSON for each phase and waits for a line before the next."""

    def __init__(self, course, front, *, websocket=False, timeout=120, **options):
        self.timeout = timeout
        words = [str(LOAD), course, "--address", front.address]
        for name, value in options.items():
            words += [f"--{name}", str(value)]
        if websocket:
            words.append("--websocket")
        self.front = front
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def phase(self):
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f"{self.front.name}: the load client ended with {self.process.wait(10)}")
        found = json.loads(line)
        found["failures"] = sum(found.pop("failed").values())
        return found

    def go_on(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()


def measure_connections(front, **options):
    """One round of short connections: what the client found, and CPU of front and workers for each connection, in us."""
    fronts, workers = front.split()
    before = machine.settled_cpu(fronts), machine.settled_cpu(workers)
    with Load("connections", front, **options) as load:
        found = load.phase()
    after = machine.settled_cpu(fronts), machine.settled_cpu(workers)
    answered = max(found["answered"], 1)
    return {
        "rate": found["answered"] / found["seconds"],
        "front_cpu": (after[0] - before[0]) / answered * 1e6,
        "workers_cpu": (after[1] - before[1]) / answered * 1e6,
        "sum_cpu": (sum(after) - sum(before)) / answered * 1e6,
        "load_cpu": found["load_cpu"] / answered * 1e6,
        **{name: found.get("first_byte", {}).get(name, 0) for name in ("p50", "p99", "p999", "max")},
        "memory": machine.memory(fronts)[0],
        "moved": found["moved"],
        "answered": found["answered"],
        "failures": found["failures"],
    }
