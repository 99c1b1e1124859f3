"""7. The pieces of a connection's path, one by one."""
import json
import shutil
import subprocess

import counting
import machine

NAME = "micro"
TITLE = "Pieces"
ABOUT = """CPU time of one call, and its instructions as callgrind counts them (those of the kernel not included). A head is
parsed whole; a key is found in a parsed head; `hand-off` is the message with a socket, its receipt, and the acknowledgement,
without the worker's parsing of it."""
COLUMNS = [("ns", "ns", "{:,.1f}"), ("instructions", "instructions", "{:,.0f}")]


def run(context):
    table = context.table(COLUMNS, title=TITLE, about=ABOUT)
    counted = {}
    if shutil.which("valgrind"):
        counted = counting.count()
    else:
        context.skip("instructions", "valgrind is not installed")
    for _ in context.rounds():
        done = subprocess.run([machine.BUILD / "bench" / "micro"], capture_output=True, text=True, check=True)
        for name, nanoseconds in json.loads(done.stdout).items():
            row = {"ns": nanoseconds}
            if name in counted:
                row["instructions"] = counted[name]
            table.add(name, row)
    return table
