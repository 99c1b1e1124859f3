"""2. What a message costs once the connection is pinned."""
import contextlib

import machine
from fronts import FRONTS
from load import Load

NAME = "after"
TITLE = "Messages over pinned connections"
ABOUT = """32 connections, each with one message under way all the time: a WebSocket echo of 32 B, 1 kB and 64 kB, and HTTP
requests with keep-alive. `front`, `workers`: CPU time for each message. C workers."""
COLUMNS = [("rate", "messages/s", "{:,.0f}"), ("p50", "p50 us", "{:,.0f}"), ("p99", "p99 us", "{:,.0f}"),
           ("front_cpu", "front us", "{:.2f}"), ("workers_cpu", "workers us", "{:.2f}"), ("failures", "failures", "{:,.0f}")]
DEFAULT = ["none-c", "limpet-cookie", "nginx-stream", "nginx-http", "haproxy-tcp", "haproxy-http"]
KINDS = [("WebSocket 32 B", 32), ("WebSocket 1 kB", 1024), ("WebSocket 64 kB", 65536), ("HTTP", None)]


def measure(front, size, seconds):
    options = {"websocket": True, "size": size} if size else {}
    with Load("echo", front, connections=32, seconds=seconds, **options) as load:
        load.phase()
        fronts, workers = front.split()
        before = machine.cpu(fronts), machine.cpu(workers)
        found = load.phase()
        after = machine.cpu(fronts), machine.cpu(workers)
    messages = max(found["echoes"], 1)
    return {"rate": found["echoes"] / found["seconds"], "p50": found.get("echo", {}).get("p50", 0),
            "p99": found.get("echo", {}).get("p99", 0), "front_cpu": (after[0] - before[0]) / messages * 1e6,
            "front_cpu_seconds": after[0] - before[0],
            "workers_cpu": (after[1] - before[1]) / messages * 1e6, "failures": found["failures"]}


def run(context):
    names = context.choose(DEFAULT, FRONTS)
    seconds = 0.2 if context.quick else 0.8
    table = context.table(COLUMNS, title=TITLE, about=ABOUT)
    with contextlib.ExitStack() as stack:
        running = context.start(stack, [FRONTS[name]() for name in names])
        for _ in context.rounds():
            for kind, size in KINDS:
                for front in running:
                    row = measure(front, size, seconds)
                    table.add(f"{kind}, {front.name}", row, note=front.note)
                    context.progress(f"{kind}, {front.name}: {row['rate']:,.0f}/s, front {row['front_cpu']:.2f} us")
    return table
