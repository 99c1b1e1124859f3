"""8. Unmodified servers: connections from limpet through their own accept(), and those that they accept themselves."""
import contextlib

import machine
from fronts import COOKIE, FRONTS, Front, Limpet, variant
from load import measure_connections
from tables.after import measure

NAME = "servers"
TITLE = "Servers that are not changed"
ABOUT = """Two processes of each server: without a front (`native`: nginx with `reuseport`, Node.js with `reusePort`, uvicorn with
its `--workers`), and as workers of limpet, by cookie, through their own accept(). `connections/s`: one request a connection;
`keep-alive/s`: requests over 32 connections that stay. The front and the servers share the same CPUs."""
COLUMNS = [("rate", "connections/s", "{:,.0f}"), ("workers_cpu", "server us", "{:.1f}"), ("front_cpu", "front us", "{:.1f}"),
           ("keep_alive", "keep-alive/s", "{:,.0f}"), ("keep_alive_cpu", "server us a request", "{:.1f}"),
           ("failures", "failures", "{:,.0f}")]

NGINX = """daemon off; worker_processes %d; pid nginx-%s.pid; error_log stderr warn;
events { worker_connections 4000; }
http {
    access_log off; keepalive_requests 1000000000; client_body_temp_path body; proxy_temp_path proxy;
    fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    server { listen %s%s; location / { default_type text/plain; return 200 $pid; } }
}"""
UVICORN = ["/usr/bin/python3", "-m", "uvicorn", "--app-dir", str(machine.BENCH), "--no-access-log", "--log-level", "warning",
           "--host", "127.0.0.1", "pid_app:app"]


class Native(Front):
    def start(self):
        if self.server == "nginx":
            self.run("nginx", "-p", self.directory.name, "-e", "stderr", "-c",
                     self.write("nginx.conf", NGINX % (self.count, "native", self.address, " reuseport")))
        else:
            self.run(*UVICORN, "--port", self.port, "--workers", self.count)

    def split(self):
        return [], [pid for process in self.processes for pid in machine.tree(process.pid)]


class Behind(Limpet):
    sticky = COOKIE
    protocol = "accept"

    def command(self):
        if self.server == "nginx":
            return ["nginx", "-p", self.directory.name, "-e", "stderr", "-c",
                    str(self.write("nginx.conf", NGINX % (1, "limpet", self.address, "")))]
        return [*UVICORN, "--port", str(self.port)]


PAIRS = [
    ("nginx", variant(Native, "nginx, native", "", server="nginx"), variant(Behind, "nginx, limpet", "", server="nginx")),
    ("Node.js", FRONTS["none-node"], FRONTS["limpet-node"]),
    ("uvicorn", variant(Native, "uvicorn, native", "", server="uvicorn"), variant(Behind, "uvicorn, limpet", "", server="uvicorn")),
]


def run(context):
    seconds = 0.3 if context.quick else 1.5
    table = context.table(COLUMNS, title=TITLE, about=ABOUT)
    with contextlib.ExitStack() as stack:
        fronts = {}
        for server, *kinds in PAIRS:
            for kind, make in zip(("native", "limpet"), kinds):
                for front in context.start(stack, [make()]):
                    fronts[f"{server}, {kind}"] = front
        for front in fronts.values():
            measure_connections(front, seconds=seconds, users=1000)
        for _ in context.rounds():
            for name, front in fronts.items():
                row = measure_connections(front, seconds=seconds, users=1000)
                kept = measure(front, None, seconds)
                row.update(keep_alive=kept["rate"], keep_alive_cpu=kept["workers_cpu"])
                row["failures"] += kept["failures"]
                table.add(name, row)
                context.progress(f"{name}: {row['rate']:,.0f}/s, keep-alive {kept['rate']:,.0f}/s")
    return table
