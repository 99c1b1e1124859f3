"""4. Many slots."""
import contextlib
import json
import subprocess

import machine
from fronts import FRONTS
from load import measure_connections

NAME = "scale"
TITLE = "Slots"
ABOUT = """limpet with a cookie key and so many slots, each with a C worker: connections as in the first table. `pick`: what
finding the slot of a key takes, alone. `memory`: limpet and its router, resident. With 1,024 workers on a few CPUs, the
machine's scheduler is measured, too."""
COLUMNS = [("pick_ns", "pick ns", "{:,.0f}"), ("rate", "connections/s", "{:,.0f}"), ("front_cpu", "front us", "{:.1f}"),
           ("workers_cpu", "workers us", "{:.1f}"), ("p50", "p50 us", "{:,.0f}"), ("p99", "p99 us", "{:,.0f}"),
           ("memory", "memory MB", "{:.1f}"), ("failures", "failures", "{:,.0f}")]
SLOTS = [1, 4, 16, 64, 256, 1024]


def run(context):
    slots = [1, 16] if context.quick else SLOTS
    table = context.table(COLUMNS, title=TITLE, about=ABOUT)
    with contextlib.ExitStack() as stack:
        running = context.start(stack, [FRONTS["limpet-cookie"](workers=count) for count in slots])
        for _ in context.rounds():
            done = subprocess.run([machine.BUILD / "bench" / "micro"], capture_output=True, text=True, check=True)
            micro = json.loads(done.stdout)
            for front in running:
                row = measure_connections(front, seconds=0.3 if context.quick else 1.0, users=20000)
                row.update(memory=row["memory"] / 1e6, pick_ns=micro[f"pick of {front.count}"])
                table.add(f"{front.count:,} slots", row)
                context.progress(f"{front.count:,} slots: {row['rate']:,.0f}/s, front {row['front_cpu']:.1f} us")
    return table
