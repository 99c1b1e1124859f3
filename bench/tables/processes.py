"""6. Processes or threads, and what a user costs in either."""
import contextlib

import machine
from fronts import FRONTS, Failed, processes_for, variant, Direct
from load import Load, measure_connections

NAME = "processes"
TITLE = "Processes and threads"
ABOUT = """Workers without a front, so that only they are measured. Memory: one worker process with so many WebSockets open; `a
user` is what it grew by for each, `memory` is resident (of several processes: shared pages counted once). Throughput: as many
workers as CPUs and four times as many, as processes and as threads of one; each has its own event loop and listening socket.
One request a connection, 64 at a time, and messages of 32 B over 64 pinned WebSockets. `switches`: context switches of the
workers for each request or message, of their own accord and not. `sum`: the workers' CPU time."""
COLUMNS = [("memory", "memory MB", "{:.1f}"), ("memory_each", "bytes a user", "{:,.0f}"), ("rate", "a second", "{:,.0f}"),
           ("voluntary", "switches, own", "{:.3f}"), ("involuntary", "switches, forced", "{:.3f}"), ("cpu", "sum us", "{:.1f}"),
           ("p99", "p99 us", "{:,.0f}")]
USERS = [1000, 4000, 12000]
ThreadsC = variant(Direct, "threads-c", "threads", threads=True, answering=1)
KINDS = [("C processes", FRONTS["none-c"]), ("C threads", ThreadsC), ("Node.js processes", FRONTS["none-node"])]


def measure_users(context, table, users):
    for kind, front_class in (KINDS[0], KINDS[2]):
        if processes_for(users) > 1:
            context.skip(f"{users:,} users in one process", "the limit of open files is too low")
            continue
        with contextlib.ExitStack() as stack:
            for front in context.start(stack, [front_class(workers=1)]):
                workers = front.split()[1]
                before = machine.memory(workers)[1]
                load = stack.enter_context(Load("idle", front, websocket=True, connections=users))
                if load.phase()["answered"] < users:
                    raise Failed(f"{front.name}: not all of {users} connections were opened")
                memory = machine.memory(workers)[1]
                table.add(f"{kind[:-2]}, {users:,} users",
                          {"users": users, "memory": memory / 1e6, "memory_each": (memory - before) / users})


def with_switches(workers, measure):
    before, cpu = machine.switches(workers), machine.settled_cpu(workers)
    count, row = measure()
    after = machine.switches(workers)
    return {**row, "cpu": (machine.settled_cpu(workers) - cpu) / count * 1e6, "memory": machine.memory(workers)[1] / 1e6,
            "voluntary": (after[0] - before[0]) / count, "involuntary": (after[1] - before[1]) / count}


def requests(front, seconds):
    row = measure_connections(front, seconds=seconds)
    return max(row["answered"], 1), {"rate": row["rate"], "p99": row["p99"]}


def messages(front, seconds):
    with Load("echo", front, websocket=True, size=32, connections=64, seconds=seconds) as load:
        load.phase()
        found = load.phase()
    return max(found["echoes"], 1), {"rate": found["echoes"] / found["seconds"], "p99": found.get("echo", {}).get("p99", 0)}


def run(context):
    table = context.table(COLUMNS, title=TITLE, about=ABOUT)
    seconds = 0.2 if context.quick else 0.7
    cpus = machine.cpus()
    with contextlib.ExitStack() as stack:
        running = []
        for kind, front_class in KINDS:
            for count in (cpus, 4 * cpus):
                running += [(f"{count} {kind}", front) for front in context.start(stack, [front_class(workers=count)])]
        for _, front in running:   # JIT
            requests(front, seconds)
        for _ in context.rounds():
            for users in [100] if context.quick else USERS:
                measure_users(context, table, users)
                context.progress(f"memory with {users:,} users")
            for what, measure in (("requests", requests), ("messages", messages)):
                for name, front in running:
                    row = with_switches(front.split()[1], lambda front=front, measure=measure: measure(front, seconds))
                    table.add(f"{name}, {what}", row)
                    context.progress(f"{name}, {what}: {row['rate']:,.0f}/s")
    return table
