"""Instructions of each piece of bench/micro, by callgrind: the same on every run, however busy the machine is."""
import os
import pathlib
import re
import subprocess
import tempfile

import machine

TIMES = 200
MICRO = machine.BUILD / "bench" / "micro"


def count():
    """{piece: instructions of one}."""
    # Not what this machine's libc chooses for its very processor.
    environment = {**os.environ, "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-AVX512F,-AVX512VL,-ERMS,-FSRM"}
    with tempfile.TemporaryDirectory(prefix="limpet-bench-") as directory:
        subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={directory}/out", MICRO, str(TIMES)],
                       capture_output=True, env=environment, check=True, timeout=120)
        found = {}
        for path in sorted(pathlib.Path(directory).glob("out.*"), key=lambda path: int(path.suffix[1:])):
            text = path.read_text(encoding="utf-8")
            name = re.search(r"^desc: Trigger: Client Request: (.*)$", text, re.MULTILINE)
            total = re.search(r"^(?:totals|summary): (\d+)", text, re.MULTILINE)
            if name and total:
                found[name[1]] = round(int(total[1]) / TIMES)
    return found
