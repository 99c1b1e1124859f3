"""1. One HTTP request a connection, with a cookie."""
import contextlib

from fronts import FRONTS
from load import measure_connections

NAME = "connections"
TITLE = "One request a connection"
ABOUT = """64 connections at a time, 250 client addresses, 1,000 users with a cookie each; the client closes when it has the
answer. `front`, `workers`: CPU time for each connection, user and system. `sum`: both. First byte: from connect() on, under
full load, and, in the last columns, at a low rate. `memory`: the front's processes, resident. `kept`: users who were always
with the same worker."""
COLUMNS = [("rate", "connections/s", "{:,.0f}"), ("front_cpu", "front us", "{:.1f}"), ("workers_cpu", "workers us", "{:.1f}"),
           ("sum_cpu", "sum us", "{:.1f}"), ("p50", "p50 us", "{:,.0f}"), ("p99", "p99 us", "{:,.0f}"),
           ("p999", "p99.9 us", "{:,.0f}"),
           ("memory", "memory MB", "{:.1f}"), ("low_p50", "low p50 us", "{:,.0f}"), ("low_p99", "low p99 us", "{:,.0f}"),
           ("kept", "kept", "{}"), ("failures", "failures", "{:,.0f}")]
USERS = 1000
DEFAULT = [name for name in FRONTS if name not in ("limpet-header", "nginx-http-single", "haproxy-http-single")]


def kept(row):
    if row["answered"] < 2 * USERS:
        return "?"
    return "no" if row["moved"] > row["answered"] / 100 else "yes"


def run(context):
    names = context.choose(DEFAULT, FRONTS)
    seconds, low_seconds, rate = (0.3, 0.3, 200) if context.quick else (1.5, 1.2, 250)
    table = context.table(COLUMNS, title=TITLE, about=ABOUT)
    with contextlib.ExitStack() as stack:
        running = context.start(stack, [FRONTS[name]() for name in names])
        for front in running:   # JIT, caches, keep-alive connections
            measure_connections(front, seconds=seconds, users=USERS)
        for number in context.rounds():
            for front in running:
                row = measure_connections(front, seconds=seconds, users=USERS)
                low = measure_connections(front, seconds=low_seconds, rate=rate)
                row.update(low_p50=low["p50"], low_p99=low["p99"], low_sum_cpu=low["sum_cpu"], memory=row["memory"] / 1e6,
                           kept=kept(row))
                row["failures"] += low["failures"]
                table.add(front.name, row, note=front.note)
                context.progress(f"{front.name}: {row['rate']:,.0f}/s, front {row['front_cpu']:.1f} us, "
                                 f"workers {row['workers_cpu']:.1f} us")
    return table
