"""Servers in use, each started as its manual says, without a word about limpet: one row a server.

Rows that are quick run with every test run; config/packages' set `test` brings their packages. All of them run with
`sh tests/run servers`, which brings the set `servers` and the npm packages of apps/servers, and writes the list of those that
passed into the manual: LIMPET_SERVERS=write. LIMPET_SERVERS=all does not write. A row whose programs are not there is skipped.
"""
import dataclasses
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import re
import shutil
import socket
import struct
import subprocess

from harness import paths
from harness.http import Connection, get

PYTHON = "/usr/bin/python3"
APPS = paths.APPS / "servers"
JAVA = pathlib.Path("/usr/share/java")
ALL = os.environ.get("LIMPET_SERVERS") in ("all", "write")
PATH = os.environ["PATH"] + ":/usr/sbin"

FRAMEWORKS = [PYTHON, paths.APPS / "plain_frameworks.py"]
# Its workers may miss a SIGTERM that comes while they start, and are killed after this time.
GUNICORN = [PYTHON, "-m", "gunicorn", "--graceful-timeout", "2", "-b", "127.0.0.1:{port}"]
UVICORN = [PYTHON, "-m", "uvicorn", "--port", "{port}"]
PUMA = ["puma", "-q", "-b", "tcp://127.0.0.1:{port}"]
BUN = APPS / "node_modules/@oven/bun-linux-x64/bin/bun"
DENO = APPS / "node_modules/@deno/linux-x64-glibc/deno"
FPM = max(map(str, pathlib.Path("/usr/sbin").glob("php-fpm*")), default="/usr/sbin/php-fpm")  # its name has its version
# Small heaps: four machines run at once.
JVM = ["java", "-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]

ANSWER = '{{"pid": {pid}, "slot": "{slot}", "peer": "{peer}"}}'

NGINX = """
daemon off; worker_processes 2; pid {directory}/nginx-{port}.pid; error_log stderr; env LIMPET_SLOT;
events {{ }}
http {{
  access_log off;
  client_body_temp_path {directory}/a; proxy_temp_path {directory}/b; fastcgi_temp_path {directory}/c;
  uwsgi_temp_path {directory}/d; scgi_temp_path {directory}/e;
  server {{ listen 127.0.0.1:{port};
    location / {{ return 200 '{{"pid": $pid, "slot": null, "peer": "$remote_addr"}}'; }} }}
}}
"""

LIGHTTPD = """
server.document-root = "{directory}"
server.bind = "127.0.0.1"
server.port = {port}
index-file.names = ("answer.json")
"""

APACHE = """
ServerRoot {directory}
ServerName localhost
Listen 127.0.0.1:{port}
LoadModule mpm_{mpm}_module {modules}/mod_mpm_{mpm}.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule alias_module {modules}/mod_alias.so
User nobody
Group nogroup
PidFile {directory}/apache-${{LIMPET_SLOT}}-${{LIMPET_GENERATION}}.pid
DefaultRuntimeDir {directory}
ErrorLog /dev/stderr
StartServers 2
{threads}
Redirect 200 /
ErrorDocument 200 '{{"pid": 0, "slot": "%{{osenv:LIMPET_SLOT}}", "peer": "%{{REMOTE_ADDR}}"}}'
"""

HAPROXY = """
defaults
  mode http
  timeout client 10s
  timeout connect 10s
  timeout server 10s
frontend web
  bind 127.0.0.1:{port}
  http-request return status 200 content-type application/json lf-string '{{"pid": %pid, "slot": "%[env(LIMPET_SLOT)]", "peer": "%ci"}}'
"""

PHP_FPM = """
[global]
daemonize = no
error_log = /dev/stderr
[www]
listen = 127.0.0.1:{port}
pm = static
pm.max_children = 2
clear_env = no
{user}
"""


@dataclasses.dataclass
class Server:
    """name      as in the manual's table
    language  what the program that it serves is written in, or the server itself
    command   with {port} and {directory}
    needs     "/program" in PATH, an absolute path, or a Python module
    version   a command that prints it, or the name of a Python distribution
    files     {name: text with {port} and {directory}}, written into the directory
    build     commands that run there before
    websocket the path of a WebSocket that answers as the request does
    quick     runs always
    says      false: its answer does not tell the slot
    fastcgi   speaks that in place of HTTP
    outlives  its processes live on when the first of them is killed, with and without limpet
    """
    name: str
    language: str
    command: list
    needs: tuple
    version: object
    files: dict = dataclasses.field(default_factory=dict)
    build: tuple = ()
    environment: dict = dataclasses.field(default_factory=dict)
    websocket: str | None = None
    quick: bool = False
    says: bool = True
    fastcgi: bool = False
    outlives: bool = False

    def missing(self):
        """What is not there, or None."""
        return next((needed for needed in self.needs if not is_there(needed)), None)

    def prepare(self, directory, port):
        """Writes its files, builds it; the command."""
        values = {"port": port, "directory": directory}
        for name, text in self.files.items():
            (directory / name).write_text(text.format(**values), encoding="utf-8")
        for command in self.build:
            done = subprocess.run([str(word).format(**values) for word in command], cwd=directory, check=False,
                                  capture_output=True, text=True, timeout=100)
            assert done.returncode == 0, done.stderr
        return [str(word).format(**values) for word in self.command]

    def ask(self, address, number):
        """What it answers to the visitor with this number."""
        if self.fastcgi:
            return json.loads(ask_fastcgi(address, f"127.0.7.{number + 1}"))
        response = get(address, cookie=f"sid=visitor-{number}", source="127.0.0.7")
        assert response.status == 200, response
        return response.json()

    def find_version(self):
        if isinstance(self.version, str):
            return importlib.metadata.version(self.version)
        done = subprocess.run(list(map(str, self.version)), capture_output=True, text=True, timeout=60, check=False,
                              env={**os.environ, "PATH": PATH})
        return re.search(r"\d+(\.\d+)+|\d+", done.stdout + done.stderr)[0]


def is_there(needed):
    if os.path.isabs(needed) and needed.count("/") > 1:
        return os.path.exists(needed)
    if needed.startswith("/"):
        return shutil.which(needed[1:], path=PATH)
    return importlib.util.find_spec(needed)


def python(name, command, module=None, version=None, **options):
    needs = [module or name]
    return Server(name, "Python", command, tuple(needs + options.pop("also", [])), version or needs[0], **options)


def framework(name, called=None, **options):
    return python(name, [*FRAMEWORKS, called or name, "{port}"], **options)


def apache(mpm, **options):
    modules = "/usr/lib/apache2/modules"
    config = APACHE.replace("{mpm}", mpm).replace("{modules}", modules)
    config = config.replace("{threads}", "" if mpm == "prefork" else "ThreadsPerChild 8\nMaxRequestWorkers 32")
    return Server(f"Apache httpd, {mpm}", "C", ["apache2", "-DFOREGROUND", "-f", "{directory}/apache.conf"],
                  ("/apache2", f"{modules}/mod_mpm_{mpm}.so"), ["apache2", "-v"], files={"apache.conf": config},
                  outlives=mpm != "prefork", **options)


def java(name, source, version, jars=(), arguments=("{port}",), **options):
    jars = [JAVA / f"{jar}.jar" for jar in jars]
    path = ":".join(["{directory}", *map(str, jars)])
    return Server(name, "Java", [*JVM, "-cp", path, source, *arguments],
                  ("/javac", *map(str, jars)), version,
                  build=(["javac", "-cp", path, "-d", "{directory}", APPS / f"{source}.java"],), **options)


def jar_version(jar):
    return ["sh", "-c", f"basename $(ls {JAVA}/{jar}-[0-9]*.jar) | sed 's/.*-//'"]


RUBY = ["/usr/bin/ruby", "-e"]
PYTHON_VERSION = [PYTHON, "--version"]

SERVERS = [
    python("http.server", [*FRAMEWORKS, "http.server", "{port}"], "http", PYTHON_VERSION, quick=True),
    python("wsgiref", [*FRAMEWORKS, "wsgiref", "{port}"], None, PYTHON_VERSION),
    framework("aiohttp", websocket="/ws", quick=True),
    framework("tornado", websocket="/ws"),
    framework("tornado, forked", "tornado-fork", module="tornado", websocket="/ws"),
    framework("twisted", also=["autobahn"], websocket="/ws"),
    framework("gevent", also=["geventwebsocket"], websocket="/ws"),
    python("gunicorn, sync", [*GUNICORN, "wsgi_app:wsgi"], "gunicorn"),
    python("gunicorn, gthread", [*GUNICORN, "-k", "gthread", "-w", "2", "wsgi_app:wsgi"], "gunicorn", quick=True),
    python("gunicorn, gevent", [*GUNICORN, "-k", "geventwebsocket.gunicorn.workers.GeventWebSocketWorker", "-w", "2",
                                "wsgi_app:wsgi"], "gunicorn", also=["gevent", "geventwebsocket"], websocket="/ws"),
    python("uvicorn, asyncio", [*UVICORN, "--loop", "asyncio", "wsgi_app:asgi"], "uvicorn", also=["websockets"],
           websocket="/ws"),
    python("uvicorn, uvloop", [*UVICORN, "--loop", "uvloop", "wsgi_app:asgi"], "uvicorn", also=["uvloop", "websockets"],
           websocket="/ws"),
    python("uvicorn --workers", [*UVICORN, "--workers", "2", "wsgi_app:asgi"], "uvicorn", also=["websockets"],
           websocket="/ws", quick=True),
    python("hypercorn", [PYTHON, "-m", "hypercorn", "-b", "127.0.0.1:{port}", "wsgi_app:asgi"], websocket="/ws", quick=True),
    python("hypercorn --workers", [PYTHON, "-m", "hypercorn", "-w", "2", "-b", "127.0.0.1:{port}", "wsgi_app:asgi"],
           "hypercorn", websocket="/ws"),
    python("daphne", [PYTHON, "-m", "daphne", "-b", "127.0.0.1", "-p", "{port}", "wsgi_app:asgi"], websocket="/ws"),
    python("waitress", [PYTHON, "-m", "waitress", "--listen", "127.0.0.1:{port}", "wsgi_app:wsgi"]),
    Server("node", "Node.js", ["env", "node", paths.APPS / "plain-node.js", "{port}"], ("/node",), ["node", "--version"],
           websocket="/ws"),
    Server("node:cluster of its own", "Node.js", ["env", "node", paths.APPS / "plain-node.js", "{port}", "cluster"],
           ("/node",), ["node", "--version"], websocket="/ws", quick=True),
    Server("Bun.serve", "Bun", [BUN, APPS / "runtime.js", "{port}"], (str(BUN),), [BUN, "--version"], websocket="/ws"),
    Server("Deno.serve", "Deno", [DENO, "run", "-A", APPS / "runtime.js", "{port}"], (str(DENO),), [DENO, "--version"],
           environment={"DENO_NO_PACKAGE_JSON": "1", "DENO_NO_UPDATE_CHECK": "1"}, websocket="/ws"),
    Server("puma", "Ruby", [*PUMA, APPS / "config.ru"], ("/puma",), ["puma", "--version"]),
    Server("puma, cluster", "Ruby", [*PUMA, "-w", "2", APPS / "config.ru"], ("/puma",), ["puma", "--version"], quick=True),
    Server("unicorn", "Ruby", ["unicorn", "-c", "{directory}/unicorn.rb", "-l", "127.0.0.1:{port}", APPS / "config.ru"],
           ("/unicorn",), ["unicorn", "--version"], files={"unicorn.rb": "worker_processes 2\n"}),
    Server("thin", "Ruby", ["thin", "-q", "-a", "127.0.0.1", "-p", "{port}", "-R", APPS / "config.ru", "start"], ("/thin",),
           [*RUBY, "require 'thin'; puts Thin::VERSION::STRING"]),
    Server("webrick", "Ruby", ["/usr/bin/ruby", APPS / "webrick.rb", "{port}"], ("/usr/bin/ruby",),
           [*RUBY, "require 'webrick'; puts WEBrick::VERSION"]),
    Server("php -S", "PHP", ["php", "-S", "127.0.0.1:{port}", APPS / "answer.php"], ("/php",), ["php", "--version"],
           quick=True),
    Server("php-fpm", "PHP", [FPM, "-n", "-R", "-F", "-y", "{directory}/fpm.conf"], (FPM,), [FPM, "--version"], fastcgi=True, quick=True,
           files={"fpm.conf": PHP_FPM.replace("{user}", "user = root" if os.geteuid() == 0 else "")}),
    Server("starman", "Perl", ["starman", "-l", "127.0.0.1:{port}", "--workers", "2", APPS / "app.psgi"], ("/starman",),
           ["perl", "-MStarman", "-e", "print Starman->VERSION"], quick=True),
    Server("twiggy", "Perl", ["twiggy", "-l", "127.0.0.1:{port}", APPS / "app.psgi"], ("/twiggy",),
           ["perl", "-MTwiggy", "-e", "print Twiggy->VERSION"]),
    Server("Mojolicious daemon", "Perl", ["perl", APPS / "mojo.pl", "daemon", "-l", "http://127.0.0.1:{port}"], ("/mojo",),
           ["perl", "-MMojolicious", "-e", "print Mojolicious->VERSION"], websocket="/ws"),
    Server("Mojolicious prefork", "Perl", ["perl", APPS / "mojo.pl", "prefork", "-w", "2", "-P", "{directory}/mojo.pid",
                                           "-l", "http://127.0.0.1:{port}"], ("/mojo",),
           ["perl", "-MMojolicious", "-e", "print Mojolicious->VERSION"], websocket="/ws"),
    Server("nginx", "C", ["nginx", "-p", "{directory}", "-c", "{directory}/nginx.conf"], ("/nginx",), ["nginx", "-v"],
           files={"nginx.conf": NGINX}, says=False, quick=True),
    apache("event", quick=True),
    apache("worker"),
    apache("prefork"),
    Server("lighttpd", "C", ["lighttpd", "-D", "-f", "{directory}/lighttpd.conf"], ("/lighttpd",), ["lighttpd", "-v"],
           files={"lighttpd.conf": LIGHTTPD}, says=False),
    Server("busybox httpd", "C", ["busybox", "httpd", "-f", "-p", "127.0.0.1:{port}", "-h", "{directory}"], ("/busybox",),
           ["busybox"], says=False),
    Server("HAProxy", "C", ["haproxy", "-db", "-f", "{directory}/haproxy.cfg"], ("/haproxy",), ["haproxy", "-v"],
           files={"haproxy.cfg": HAPROXY}),
    java("com.sun.net.httpserver", "HttpServerApp", ["java", "-version"]),
    java("Tomcat", "TomcatApp", jar_version("tomcat10-embed-core"), ["tomcat10-embed-core", "tomcat10-embed-websocket", "tomcat10-annotations-api"],
         ["{port}", "{directory}"], websocket="/ws"),
    java("Jetty", "JettyApp", jar_version("jetty9-server"),
         ["jetty9-server", "jetty9-http", "jetty9-io", "jetty9-util", "servlet-api"]),
    Server("inets httpd", "Erlang", ["escript", APPS / "inets.escript", "{port}", "{directory}"], ("/escript",),
           ["erl", "-noshell", "-eval", "io:format(\"~s\", [erlang:system_info(otp_release)]), halt()."]),
    Server("std::net", "Rust", ["{directory}/std", "{port}"], ("/usr/bin/rustc",), ["/usr/bin/rustc", "--version"],
           build=(["/usr/bin/rustc", "-o", "{directory}/std", APPS / "std.rs"],)),
]

BY_NAME = {server.name: server for server in SERVERS}
assert len(BY_NAME) == len(SERVERS)

# ---- FastCGI, as much of it as asks one question ----

RECORD = struct.Struct(">BBHHBx")
BEGIN, END, PARAMS, STDIN, STDOUT = 1, 3, 4, 5, 6


def ask_fastcgi(address, source):
    script = str(APPS / "answer.php")
    values = {"SCRIPT_FILENAME": script, "SCRIPT_NAME": "/", "REQUEST_METHOD": "GET", "REMOTE_ADDR": source}
    params = b"".join(bytes([len(name)]) + struct.pack(">I", len(value) | 1 << 31) + name.encode() + value.encode()
                      for name, value in values.items())
    records = [(BEGIN, struct.pack(">HB5x", 1, 0)), (PARAMS, params), (PARAMS, b""), (STDIN, b"")]
    with Connection(address, source) as connection:
        for kind, content in records:
            connection.send(RECORD.pack(1, kind, 1, len(content), 0) + content)
        output = b""
        while True:
            _, kind, _, length, padding = RECORD.unpack(connection.read_exactly(RECORD.size))
            content = connection.read_exactly(length + padding)[:length]
            if kind == END:
                return output.split(b"\r\n\r\n", 1)[1]
            if kind == STDOUT:
                output += content


# ---- the manual's table ----

MANUAL = paths.ROOT / "man" / "limpet-worker.7"
TABLE = ('.\\" The list of servers: written by sh tests/run servers\n', '.\\" End of the list of servers\n')


def lines_listed():
    """{name: line} of the manual's table."""
    text = MANUAL.read_text(encoding="utf-8").split(TABLE[0], 1)[1].split(TABLE[1], 1)[0]
    return {match[1]: match[0] for match in re.finditer(r"^\.It (?!Sy)\S+ Ta (.*?) Ta .*$", text, re.MULTILINE)}


def line_of(server):
    what = "WebSocket" if server.websocket else "FastCGI" if server.fastcgi else "HTTP"
    return f".It {server.language} Ta {server.name} Ta {server.find_version()} Ta {what}"


def table(lines):
    """The manual's, in the order of SERVERS."""
    head = ['.Bl -column "Node.js" "node:cluster of its own" "22.10.2" "WebSocket"',
            ".It Sy language Ta Sy server Ta Sy version Ta Sy \"\""]
    lines = [*head, *(lines[server.name] for server in SERVERS if server.name in lines)]
    return "\n".join([*lines, ".El", ""])


def write_table(tried):
    """tried: {name: did it pass?}. Lines of those that were not tried stay."""
    lines = {name: line for name, line in lines_listed().items() if name not in tried}
    lines.update((name, line_of(BY_NAME[name])) for name, passed in tried.items() if passed)
    text = MANUAL.read_text(encoding="utf-8")
    before, rest = text.split(TABLE[0], 1)
    MANUAL.write_text(before + TABLE[0] + table(lines) + TABLE[1] + rest.split(TABLE[1], 1)[1], encoding="utf-8")
