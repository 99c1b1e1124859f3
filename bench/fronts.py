"""The fronts that are compared, each started with workers of its own: limpet, no front at all, and what users have today.

Each peer has the configuration that its own documentation recommends for this: sticky, upstream connections kept where the peer
can, as many processes or threads as it chooses by itself.
"""
import contextlib
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time

import machine

LOAD = machine.BUILD / "bench" / "load"
WORKER = machine.BUILD / "bench" / "worker"
NODE = machine.BENCH / "node_modules" / "node24" / "bin" / "node"
NODE_WORKER = machine.BENCH / "node_worker.js"
LIMPET_PROCESSES = {"limpet", "limpet-router", "limpet-admin"}


class Failed(Exception):
    """A front did not start, or did not do what it is there for."""


class Ports:
    """Free ones below those that the kernel gives to clients, so that no client takes one before its server does."""
    next = 20000

    @classmethod
    def free(cls):
        while True:
            cls.next += 1
            with socket.socket() as probe:
                with contextlib.suppress(OSError):
                    probe.bind(("127.0.0.1", cls.next))
                    return cls.next


def processes_for(files):
    """How many processes can have so many files open, with a margin, under this machine's limit for each."""
    return -(-files * 4 // (machine.file_limit() * 3))


def node_command(mode):
    return [str(NODE), str(NODE_WORKER), mode]


class Front:
    """One of them, and its workers.

    most: the most connections at a time that it has to bear. Where the limit of open files is too low for that, there are more
    workers, or more processes of the front, than otherwise."""
    kind = "c"   # of its workers
    answering = None  # how many of them are to be heard of at the start, if not the first few

    def __init__(self, workers=2, most=4000):
        self.count = max(workers, processes_for(most))
        self.most = most
        self.port = Ports.free()
        self.worker_ports = []
        self.processes = []
        self.directory = tempfile.TemporaryDirectory(prefix="limpet-bench-")
        self.log = pathlib.Path(self.directory.name, "log").open("wb")
        os.chmod(self.directory.name, 0o755)

    def __enter__(self):
        try:
            self.start()
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    # For those who make one.

    def start(self):
        raise NotImplementedError

    def run(self, *command, **environment):
        process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                   env={**os.environ, **environment}, cwd=self.directory.name, start_new_session=True)
        self.processes.append(process)
        return process

    def write(self, name, text):
        path = pathlib.Path(self.directory.name, name)
        path.write_text(text, encoding="utf-8")
        return path

    def start_workers(self):
        """Workers that listen on a port each."""
        for _ in range(self.count):
            port = Ports.free()
            self.worker_ports.append(port)
            if self.kind == "c":
                self.run(WORKER, f"127.0.0.1:{port}")
            else:
                self.run(*node_command("listen"), PORT=str(port))

    # For those who measure.

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def split(self):
        """(pids of the front, pids of the workers). The first process is the front, its children are too, unless it starts the
        workers itself."""
        raise NotImplementedError

    def wait_ready(self, seconds=30.0):
        """Waits until every worker has answered, or the first few."""
        end, seen, number = time.monotonic() + seconds, set(), 0
        wanted = min(self.count, 4) if self.answering is None else self.answering
        while len(seen) < wanted:
            number += 1
            try:
                seen.add(self.ask(number))
            except (OSError, http.client.HTTPException, ValueError):
                time.sleep(0.05)
            if time.monotonic() > end or any(process.poll() is not None for process in self.processes):
                raise Failed(f"{self.name}: {len(seen)} of {self.count} workers answered:\n{self.log_text()[-3000:]}")

    def ask(self, number):
        """One request of user `number`; the answer's worker."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5,
                                                source_address=(f"127.1.1.{number % 250 + 1}", 0))
        with contextlib.closing(connection):
            connection.request("GET", f"/u/{number}", headers={"Cookie": f"sid={number * 7919:016x}"})
            answer = connection.getresponse()
            if answer.status != 200:
                raise ValueError(answer.status)
            return int(answer.read())

    def log_text(self):
        self.log.flush()
        return machine.read(self.log.name)

    def stop(self):
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in self.processes:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
            end = time.monotonic() + 5
            for process in self.processes:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.01, end - time.monotonic()))
        self.log.close()
        self.directory.cleanup()


class Direct(Front):
    """No front: the workers listen themselves."""
    threads = False

    def start(self):
        if self.kind == "c":
            self.run(WORKER, "-r", "-t" if self.threads else "-p", self.count, self.address)
        else:
            for _ in range(self.count):
                self.run(*node_command("reuseport"), PORT=str(self.port))

    def split(self):
        return [], [pid for process in self.processes for pid in machine.tree(process.pid)]


class Limpet(Front):
    sticky = "ip"
    protocol = "limpet"
    extra = {}

    def start(self):
        extra = dict(self.extra)
        known = subprocess.run([machine.BUILD / "src" / "limpet", "--print-schema"], capture_output=True, text=True, check=True)
        if '"connections"' not in known.stdout and extra.pop("connections", "message") == "accept":
            raise Failed("this limpet passes sockets to node-cluster workers by messages only")
        listener = {"sticky": self.sticky, "max_waiting": 100000, "max_waiting_per_client": 10000, "address": self.address}
        self.config = {"control": str(pathlib.Path(self.directory.name, "control.sock")), "listeners": {"web": listener},
                       "pools": {"bench": {"command": self.command(), "protocol": self.protocol, "workers": self.count,
                                           "environment": {"PORT": str(self.port)}, "kill_timeout": "1s", "drain_timeout": "0s",
                                           **extra}}}
        self.run(machine.BUILD / "src" / "limpet", "-c", self.write("limpet.json", json.dumps(self.config)))

    def command(self):
        if self.kind == "node":
            return node_command("listen")
        return [str(WORKER)] + ([self.address] if self.protocol == "accept" else [])

    def wait_ready(self, seconds=30.0):
        end = time.monotonic() + seconds
        while self.log_text().count(") ready\n") < self.count:
            if time.monotonic() > end or self.processes[0].poll() is not None:
                raise Failed(f"{self.name}: not all workers are ready:\n{self.log_text()[-3000:]}")
            time.sleep(0.05)
        super().wait_ready(seconds)

    def split(self):
        pids = machine.tree(self.processes[0].pid)
        front = [pid for pid, comm in pids.items() if comm in LIMPET_PROCESSES]
        return front, [pid for pid in pids if pid not in front]


class Proxy(Front):
    """nginx or HAProxy in front of workers that listen."""
    def split(self):
        pids = [list(machine.tree(process.pid)) for process in self.processes]
        return sum(pids[self.count:], []), sum(pids[:self.count], [])


class Nginx(Proxy):
    http = True
    processes_count = "auto"

    def start(self):
        self.start_workers()
        servers = "".join(f"server 127.0.0.1:{port}; " for port in self.worker_ports)
        if self.http:
            block = """http {
    access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
    upstream workers { hash $cookie_sid consistent; %s keepalive 64; }
    server {
        listen %s backlog=4096%s;
        location / {
            proxy_pass http://workers; proxy_http_version 1.1; proxy_read_timeout 1h; proxy_send_timeout 1h;
            proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
        }
    }
}"""
        else:
            block = """stream {
    upstream workers { hash $remote_addr consistent; %s }
    server { listen %s backlog=4096%s; proxy_pass workers; proxy_timeout 1h; }
}"""
        # By themselves the processes share connections unevenly, which those that are few can bear.
        needed = processes_for(self.most * 2)
        processes, share = (needed, " reuseport") if needed > machine.cpus() else (self.processes_count, "")
        module = pathlib.Path("/usr/lib/nginx/modules/ngx_stream_module.so")
        load = f"load_module {module};\n" if not self.http and module.exists() else ""
        config = self.write("nginx.conf", f"""{load}daemon off; worker_processes {processes}; pid nginx.pid; error_log stderr warn;
events {{ worker_connections {min(self.most * 2 + 1000, machine.file_limit())}; }}
""" + block % (servers, self.address, share))
        self.run("nginx", "-p", self.directory.name, "-e", "stderr", "-c", config)


class Haproxy(Proxy):
    http = True
    threads = None  # as many as CPUs

    def start(self):
        self.start_workers()
        servers = "\n".join(f"  server w{index} 127.0.0.1:{port}" for index, port in enumerate(self.worker_ports))
        balance = "hash req.cook(sid)" if self.http else "source"
        config = self.write("haproxy.cfg", f"""global
  {f"nbthread {self.threads}" if self.threads else ""}
  maxconn {min(self.most + 1000, machine.file_limit() // 2 - 200)}
defaults
  mode {"http" if self.http else "tcp"}
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout tunnel 1h
  backlog 4096
frontend web
  bind {self.address}
  default_backend workers
backend workers
  balance {balance}
  hash-type consistent
{servers}
""")
        for _ in range(processes_for(self.most * 2)):
            self.run("haproxy", "-db", "-f", config)


class NodePrimary(Front):
    """A Node.js primary that starts its workers."""
    kind = "node"
    mode = "cluster"

    def start(self):
        self.run(*node_command(self.mode), PORT=str(self.port), WORKERS=str(self.count))

    def split(self):
        root = self.processes[0].pid
        return [root], [pid for pid in machine.tree(root) if pid != root]


def variant(base, name, note, **attributes):
    return type(name, (base,), {"name": name, "note": note, **attributes})


COOKIE = [{"cookie": "sid"}, "ip"]

FRONTS = {front.name: front for front in [
    variant(Direct, "none-c", "workers listen themselves, SO_REUSEPORT"),
    variant(Limpet, "limpet-ip", "by address, protocol limpet"),
    variant(Limpet, "limpet-cookie", "by cookie, protocol limpet", sticky=COOKIE),
    variant(Limpet, "limpet-path", "by a segment of the path, protocol limpet", sticky=[{"path": 2}, "ip"]),
    variant(Limpet, "limpet-header", "by a header field, protocol limpet", sticky=[{"header": "Referer"}, "ip"]),
    variant(Limpet, "limpet-accept", "by cookie, the workers' own accept()", sticky=COOKIE, protocol="accept"),
    variant(Nginx, "nginx-stream", "hash of the address", http=False),
    variant(Nginx, "nginx-http", "hash of the cookie, upstream keep-alive"),
    variant(Haproxy, "haproxy-tcp", "balance source", http=False),
    variant(Nginx, "nginx-http-single", "nginx-http as one process", processes_count=1),
    variant(Haproxy, "haproxy-http-single", "haproxy-http with one thread", threads=1),
    variant(Haproxy, "haproxy-http", "balance hash of the cookie, upstream reuse"),
    variant(Direct, "none-node", "workers listen themselves, reusePort", kind="node"),
    variant(Limpet, "limpet-node", "by cookie, node-cluster, sockets through accept()", kind="node", protocol="node-cluster",
            sticky=COOKIE, extra={"connections": "accept"}),
    variant(Limpet, "limpet-node-message", "by cookie, node-cluster, sockets with Node.js' messages", kind="node",
            protocol="node-cluster", sticky=COOKIE, extra={"connections": "message"}),
    variant(Limpet, "limpet-node-accept", "by cookie, protocol accept", kind="node", protocol="accept", sticky=COOKIE),
    variant(Nginx, "nginx-http-node", "hash of the cookie, upstream keep-alive", kind="node"),
    variant(Haproxy, "haproxy-http-node", "balance hash of the cookie, upstream reuse", kind="node"),
    variant(NodePrimary, "node-cluster", "round robin, not sticky"),
    variant(NodePrimary, "sticky-session", "by address", mode="sticky-session"),
    variant(NodePrimary, "socket.io-sticky", "by socket.io's session id", mode="socket.io"),
]}
