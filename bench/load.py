"""Runs the load client and the measurements around it."""
import json
import select
import subprocess

import machine
from fronts import LOAD, Failed, processes_for


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
        # One line at a time is there at most, so that nothing hides in Python's buffer.
        if not select.select([self.process.stdout], [], [], self.timeout)[0]:
            raise Failed(f"{self.front.name}: the load client says nothing for {self.timeout} s")
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f"{self.front.name}: the load client ended with {self.process.wait(10)}")
        found = json.loads(line)
        found["failures"] = sum(found.pop("failed").values())
        return found

    def go_on(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()


class Crowd:
    """As many load clients side by side as the limit of open files asks for, as if they were one."""

    def __init__(self, stack, course, front, connections, **options):
        count = processes_for(connections)
        sizes = [connections // count + (number < connections % count) for number in range(count)]
        self.loads = [stack.enter_context(Load(course, front, connections=size, first=sum(sizes[:number]), **options))
                      for number, size in enumerate(sizes)]

    def go_on(self):
        for load in self.loads:
            load.go_on()

    def phase(self):
        """Counts in all; the worst of the times."""
        found = [load.phase() for load in self.loads]
        sums = {name: sum(one[name] for one in found) for name in ("answered", "echoes", "moved", "load_cpu", "failures")}
        times = {name: {part: max(one[name][part] for one in found if name in one) for part in ("p50", "p99", "p999", "max")}
                 for name in ("first_byte", "echo") if any(name in one for one in found)}
        return {"seconds": max(one["seconds"] for one in found), **sums, **times}


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
