"""5. Everybody comes back at once."""
import contextlib

import machine
from fronts import FRONTS, Failed
from load import Crowd

NAME = "storm"
TITLE = "A reconnect storm"
ABOUT = """All pinned WebSockets are reset, and all their clients connect again at once, faster than anybody could accept.
`until pinned`: until the last has its handshake's answer. A full queue of the kernel costs some of them a second (or more): a
SYN is sent again after that. `longest` is from connect() to the first byte. `front`: CPU time of the whole storm."""
COLUMNS = [("clients", "clients", "{:,.0f}"), ("seconds", "s until pinned", "{:.2f}"), ("longest", "longest s", "{:.2f}"),
           ("p50", "p50 s", "{:.3f}"), ("front_cpu", "front CPU s", "{:.3f}"), ("workers_cpu", "workers CPU s", "{:.3f}"),
           ("failures", "failures", "{:,.0f}")]
DEFAULT = ["none-c", "limpet-cookie", "limpet-ip", "nginx-http", "haproxy-http", "socket.io-sticky"]
# Takes so long that it is measured once.
SLOW = {"socket.io-sticky"}


def measure(front, load, size):
    fronts, workers = front.split()
    before = machine.settled_cpu(fronts), machine.settled_cpu(workers)
    load.go_on()
    found = load.phase()
    after = machine.settled_cpu(fronts), machine.settled_cpu(workers)
    wait = found.get("first_byte", {})
    return {"clients": size, "seconds": found["seconds"], "longest": wait.get("max", 0) / 1e6, "p50": wait.get("p50", 0) / 1e6,
            "front_cpu": after[0] - before[0], "workers_cpu": after[1] - before[1], "failures": found["failures"]}


def run(context):
    names = context.choose(DEFAULT, FRONTS)
    size = 500 if context.quick else 20000
    table = context.table(COLUMNS, title=TITLE, about=ABOUT)
    with contextlib.ExitStack() as stack:
        running = []
        for front in context.start(stack, [FRONTS[name](most=size) for name in names]):
            load = Crowd(stack, "storm", front, size, websocket=True)
            try:
                if load.phase()["answered"] < size:
                    raise Failed("not all connections were opened")
                running.append((front, load))
            except Failed as error:
                context.skip(front.name, error)
        for number in context.rounds():
            for front, load in running:
                if number and front.name in SLOW:
                    continue
                row = measure(front, load, size)
                table.add(front.name, row, note=front.note + ("; one round" if front.name in SLOW else ""))
                context.progress(f"{front.name}: {row['seconds']:.2f} s, front {row['front_cpu']:.3f} s, "
                                 f"{row['failures']} failures")
    return table
