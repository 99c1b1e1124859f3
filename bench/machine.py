"""What the kernel says of processes and of the machine, and what the machine is."""
import collections
import json
import os
import pathlib
import platform
import re
import resource
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BENCH = ROOT / "bench"
BUILD = (ROOT / os.environ.get("BUILD", "build")).resolve()
# What the kernel makes for a socket that is polled.
SLABS = {"TCP", "TCPv6", "sock_inode_cache", "request_sock_TCP", "eventpoll_epi", "filp", "skbuff_head_cache"}
TICK = os.sysconf("SC_CLK_TCK")


def read(*path):
    try:
        return pathlib.Path(*map(str, path)).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def raise_file_limit():
    """As far as it goes."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for wanted in (int(read("/proc/sys/fs/nr_open") or most), most):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
            break
        except (OSError, ValueError):
            continue


def file_limit():
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


# Processes.

def stat(pid):
    """(comm, the fields from the state on), or None if there is no such process."""
    text = read("/proc", pid, "stat")
    if not text:
        return None
    return text[text.index("(") + 1:text.rindex(")")], text.rsplit(")", 1)[1].split()


def tree(root):
    """{pid: comm} of a process and everything below it."""
    children, names = collections.defaultdict(list), {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (found := stat(entry)) and found[1][0] not in "ZX":
            names[int(entry)] = found[0]
            children[int(found[1][1])].append(int(entry))
    pids, todo = {}, [root] if root in names else []
    while todo:
        pid = todo.pop()
        pids[pid] = names[pid]
        todo += children[pid]
    return pids


def cpu(pids):
    """CPU seconds of these processes, user and system. From the scheduler's nanoseconds of each thread, of which utime and stime
    in /proc/PID/stat are the same sum in ticks of 10 ms; from those where the kernel has no schedstat."""
    total = 0.0
    for pid in pids:
        try:
            threads = os.listdir(f"/proc/{pid}/task")
        except OSError:
            continue
        schedstats = [read("/proc", pid, "task", thread, "schedstat") for thread in threads]
        found = stat(pid)
        ticks = (int(found[1][11]) + int(found[1][12])) / TICK if found else 0
        # Threads that have ended count in the ticks only.
        exact = sum(int(text.split()[0]) for text in schedstats if text) / 1e9
        total += exact if exact > ticks - 2 / TICK else ticks
    return total


def switches(pids):
    """(voluntary, involuntary) context switches of all their threads."""
    sums = [0, 0]
    for pid in pids:
        for status in pathlib.Path(f"/proc/{pid}/task").glob("*/status"):
            for index, name in enumerate(("voluntary_ctxt_switches", "nonvoluntary_ctxt_switches")):
                match = re.search(rf"^{name}:\s+(\d+)", read(status), re.MULTILINE)
                sums[index] += int(match[1]) if match else 0
    return tuple(sums)


def memory(pids):
    """(RSS, PSS) in bytes: PSS shares out pages that several processes have, RSS counts them in each."""
    rss = pss = 0
    for pid in pids:
        text = read("/proc", pid, "smaps_rollup")
        for line in text.splitlines():
            if line.startswith("Rss:"):
                rss += int(line.split()[1]) * 1024
            elif line.startswith("Pss:"):
                pss += int(line.split()[1]) * 1024
    return rss, pss


def socket_memory():
    """Bytes that the kernel holds in TCP buffers, and in socket objects, on the whole machine."""
    match = re.search(r"^TCP:.* mem (\d+)", read("/proc/net/sockstat"), re.MULTILINE)
    buffers = int(match[1]) * os.sysconf("SC_PAGE_SIZE") if match else 0
    objects = 0
    for line in read("/proc/slabinfo").splitlines():
        fields = line.split()
        if fields and fields[0] in SLABS:
            objects += int(fields[1]) * int(fields[3])
    return buffers, objects


def free_memory():
    match = re.search(r"MemAvailable:\s+(\d+)", read("/proc/meminfo"))
    return int(match[1]) * 1024 if match else 0


def settled_cpu(pids, seconds=0.5):
    """cpu(), when what is left of a load has been done."""
    end = time.monotonic() + seconds
    before = cpu(pids)
    while time.monotonic() < end:
        time.sleep(0.03)
        after = cpu(pids)
        if after - before < 0.0003:
            return after
        before = after
    return before


# The machine.

def first_line(*command):
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=20, check=False)
    except OSError:
        return "absent"
    return (done.stdout + done.stderr).strip().splitlines()[0] if done.stdout + done.stderr else "unknown"


def cpus():
    return len(os.sched_getaffinity(0))


def describe():
    model = re.search(r"model name\s*:\s*(.*)", read("/proc/cpuinfo"))
    memory_kb = re.search(r"MemTotal:\s+(\d+)", read("/proc/meminfo"))
    system = re.search(r'PRETTY_NAME="(.*)"', read("/etc/os-release"))
    commit = first_line("git", "-C", ROOT, "describe", "--always", "--dirty")
    return {
        "time": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "cpu": model[1] if model else platform.machine(),
        "cpus": cpus(),
        "memory": f"{int(memory_kb[1]) / 1048576:.1f} GiB" if memory_kb else "unknown",
        "kernel": platform.release(),
        "system": system[1] if system else "unknown",
        "open files a process": f"{file_limit():,}",
        "load before": read("/proc/loadavg").split()[0],
        "limpet": f"{first_line(BUILD / 'src' / 'limpet', '--version')} ({commit})",
        "build": build_type(),
        "nginx": first_line("nginx", "-v"),
        "haproxy": first_line("haproxy", "-v").split(" - ")[0],
        "node": first_line(BENCH / "node_modules" / "node24" / "bin" / "node", "--version"),
        "sticky-session": package_version("sticky-session"),
        "@socket.io/sticky": package_version("@socket.io/sticky"),
        "python": platform.python_version(),
    }


def package_version(name):
    match = re.search(r'"version": "([^"]+)"', read(BENCH / "node_modules" / name / "package.json"))
    return match[1] if match else "absent"


def build_options():
    """{option: value} of the build directory."""
    return {option["name"]: option["value"]
            for option in json.loads(read(BUILD / "meson-info" / "intro-buildoptions.json") or "[]")
            if option["name"] in ("buildtype", "optimization", "b_sanitize", "b_coverage")}


def build_type():
    return ", ".join(f"{name} {value}" for name, value in sorted(build_options().items()))
