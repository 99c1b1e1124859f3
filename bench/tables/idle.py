"""3. What pinned connections cost that say little."""
import contextlib

import machine
from fronts import FRONTS, Failed
from load import Crowd

NAME = "idle"
TITLE = "Idle WebSockets"
ABOUT = """Pinned WebSockets with a ping every 6 s each, and nothing else. `front`: resident memory and CPU time of the front's
processes; `a connection`: what the memory grew by since it had none. `kernel`: TCP buffers and socket objects of the whole
machine, for each connection, the client's own socket included. Memory of the Node.js primaries moves with garbage collection. C
workers, but for socket.io-sticky."""
COLUMNS = [("memory", "front MB", "{:.1f}"), ("memory_each", "bytes a connection", "{:,.0f}"),
           ("cpu_percent", "front CPU %", "{:.3f}"),
           ("cpu_each", "front us a ping", "{:.2f}"), ("kernel_each", "kernel bytes a connection", "{:,.0f}"),
           ("p99", "pong p99 us", "{:,.0f}"), ("open_seconds", "s to open", "{:.2f}"), ("failures", "failures", "{:,.0f}")]
DEFAULT = ["none-c", "limpet-cookie", "nginx-http", "haproxy-http", "socket.io-sticky"]
SIZES = [1000, 10000, 42000]
# Of the whole machine, for a connection through a proxy.
MEMORY_EACH = 45000


def open_one(context, stack, front, size, seconds):
    fronts = front.split()[0]
    memory, kernel = machine.memory(fronts)[0], sum(machine.socket_memory())
    load = Crowd(stack, "idle", front, size, websocket=True, seconds=seconds, every=6000)
    opened = load.phase()
    if opened["answered"] < size:
        raise Failed(f"{front.name}: {opened['answered']} of {size} connections were opened")
    front.opened = {"memory": memory, "kernel": (sum(machine.socket_memory()) - kernel) / size, "seconds": opened["seconds"]}
    return front, load


def measure(front, load, size):
    fronts = front.split()[0]
    before = machine.cpu(fronts)
    load.go_on()
    found = load.phase()
    used, memory = machine.cpu(fronts) - before, machine.memory(fronts)[0]
    return {"connections": size, "memory": memory / 1e6, "memory_each": (memory - front.opened["memory"]) / size,
            "cpu_percent": used / found["seconds"] * 100, "cpu_each": used / max(found["echoes"], 1) * 1e6,
            "kernel_each": front.opened["kernel"], "p99": found.get("echo", {}).get("p99", 0),
            "open_seconds": front.opened["seconds"], "failures": found["failures"]}


def run_size(context, table, names, size, seconds):
    with contextlib.ExitStack() as stack:
        running = []
        for front in context.start(stack, [FRONTS[name](most=size) for name in names]):
            try:
                running.append(open_one(context, stack, front, size, seconds))
                context.progress(f"{front.name}: {size:,} open in {front.opened['seconds']:.1f} s")
            except Failed as error:
                context.skip(f"{front.name} at {size:,}", error)
        for _ in context.rounds():
            for front, load in running:
                row = measure(front, load, size)
                table.add(f"{size:,}, {front.name}", row, note=front.note)
                context.progress(f"{size:,}, {front.name}: {row['memory']:.1f} MB, {row['cpu_percent']:.2f} % CPU")


def run(context):
    names = context.choose(DEFAULT, FRONTS)
    table = context.table(COLUMNS, title=TITLE, about=ABOUT)
    for size in [200] if context.quick else SIZES:
        if size * MEMORY_EACH * len(names) > machine.free_memory():
            context.skip(f"{size:,} connections", "there is too little memory")
        else:
            run_size(context, table, names, size, 0.5 if context.quick else 2.0)
    return table
