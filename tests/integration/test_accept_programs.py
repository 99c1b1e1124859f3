"""Protocol accept with servers that are in use: each is started as its manual says, without a word about limpet.

Those whose programs are not installed are skipped; config/packages brings some of them."""
import importlib.util
import json
import os
import shutil
import signal

import pytest

from harness import paths
from harness.http import Connection, get
from harness.wait import wait_until
from integration.test_accept_shim import PYTHON, free_port

FRAMEWORKS = [PYTHON, paths.APPS / "plain_frameworks.py"]
# Its workers may miss a SIGTERM that comes while they start, and are killed after this time.
GUNICORN = [PYTHON, "-m", "gunicorn", "--graceful-timeout", "2", "-b", "127.0.0.1:{port}"]

NGINX = """
daemon off; worker_processes 2; pid {directory}/nginx-{port}.pid; error_log stderr;
events {{ }}
http {{
  access_log off;
  client_body_temp_path {directory}/a; proxy_temp_path {directory}/b; fastcgi_temp_path {directory}/c;
  uwsgi_temp_path {directory}/d; scgi_temp_path {directory}/e;
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 '{{"pid": $pid, "slot": null, "peer": "$remote_addr"}}'; }} }}
}}
"""

LIGHTTPD = """
server.document-root = "{directory}"
server.bind = "127.0.0.1"
server.port = {port}
index-file.names = ("answer.json")
"""

PHP = """<?php echo json_encode(["pid" => getmypid(), "slot" => getenv("LIMPET_SLOT"), "peer" => $_SERVER["REMOTE_ADDR"]]);"""

RACK = """
require "json"
run lambda { |env| [200, {"content-type" => "application/json"},
  [JSON.dump({pid: Process.pid, slot: ENV["LIMPET_SLOT"], peer: env["REMOTE_ADDR"]})]] }
"""

WEBRICK = """
require "webrick"
require "json"
server = WEBrick::HTTPServer.new(Port: ARGV[0].to_i, BindAddress: "127.0.0.1", AccessLog: [])
server.mount_proc("/") { |request, response|
  response.body = JSON.dump({pid: Process.pid, slot: ENV["LIMPET_SLOT"], peer: request.remote_ip}) }
server.start
"""


def write(name, content):
    def make(directory, port):
        text = content.format(directory=directory, port=port) if "{port}" in content else content
        (directory / name).write_text(text, encoding="utf-8")
    return make


# name: (what must be there, command, what must be written before, says who answers)
PROGRAMS = {
    "http.server": ([], [*FRAMEWORKS, "http.server", "{port}"], None),
    "aiohttp": (["aiohttp"], [*FRAMEWORKS, "aiohttp", "{port}"], None),
    "tornado": (["tornado"], [*FRAMEWORKS, "tornado", "{port}"], None),
    "tornado, forked": (["tornado"], [*FRAMEWORKS, "tornado-fork", "{port}"], None),
    "gunicorn": (["gunicorn"], [*GUNICORN, "wsgi_app:wsgi"], None),
    "gunicorn, gthread": (["gunicorn"], [*GUNICORN, "-k", "gthread", "-w", "2", "wsgi_app:wsgi"], None),
    "uvicorn": (["uvicorn"], [PYTHON, "-m", "uvicorn", "--port", "{port}", "wsgi_app:asgi"], None),
    "uvicorn, uvloop": (["uvicorn", "uvloop"], [PYTHON, "-m", "uvicorn", "--loop", "uvloop", "--port", "{port}",
                                                "wsgi_app:asgi"], None),
    "uvicorn --workers": (["uvicorn"], [PYTHON, "-m", "uvicorn", "--workers", "2", "--port", "{port}", "wsgi_app:asgi"],
                          None),
    "waitress": (["waitress"], [PYTHON, "-m", "waitress", "--listen", "127.0.0.1:{port}", "wsgi_app:wsgi"], None),
    "node": (["/node"], ["env", "node", paths.APPS / "plain-node.js", "{port}"], None),
    "node, cluster": (["/node"], ["env", "node", paths.APPS / "plain-node.js", "{port}", "cluster"], None),
    "nginx": (["/nginx"], ["nginx", "-p", "{directory}", "-c", "{directory}/nginx.conf"], write("nginx.conf", NGINX)),
    "lighttpd": (["/lighttpd"], ["lighttpd", "-D", "-f", "{directory}/lighttpd.conf"],
                 write("lighttpd.conf", LIGHTTPD)),
    "busybox httpd": (["/busybox"], ["busybox", "httpd", "-f", "-p", "127.0.0.1:{port}", "-h", "{directory}"], None),
    "php -S": (["/php"], ["php", "-S", "127.0.0.1:{port}", "{directory}/index.php"], write("index.php", PHP)),
    "puma": (["/puma"], ["puma", "-q", "-b", "tcp://127.0.0.1:{port}", "{directory}/config.ru"],
             write("config.ru", RACK)),
    "puma, cluster": (["/puma"], ["puma", "-q", "-w", "2", "-b", "tcp://127.0.0.1:{port}", "{directory}/config.ru"],
                      write("config.ru", RACK)),
    "webrick": (["/ruby"], ["ruby", "{directory}/server.rb", "{port}"], write("server.rb", WEBRICK)),
}

STATIC = {"lighttpd", "busybox httpd"}


def is_there(needed):
    if needed.startswith("/"):
        return shutil.which(needed[1:], path=os.environ["PATH"] + ":/usr/sbin")
    return importlib.util.find_spec(needed)


def start(limpet, name, directory, **options):
    needs, command, prepare = PROGRAMS[name]
    for needed in needs:
        if not is_there(needed):
            pytest.skip(f"{needed} is not installed")
    port = free_port()
    (directory / "answer.json").write_text('{"pid": 0, "slot": null, "peer": null}', encoding="utf-8")
    (directory / "index.html").write_text('{"pid": 0, "slot": null, "peer": null}', encoding="utf-8")
    if prepare:
        prepare(directory, port)
    command = [str(word).format(port=port, directory=directory) for word in command]
    front = limpet(command, sticky="cookie:sid", cwd=directory,
                   env={"PYTHONPATH": str(paths.APPS), "PATH": os.environ["PATH"] + ":/usr/sbin"}, **options)
    return front, ("127.0.0.1", port)


@pytest.mark.parametrize("name", PROGRAMS)
def test_connections_reach_the_worker_that_they_are_pinned_to(limpet, name, tmp_path):
    front, address = start(limpet, name, tmp_path, workers=2)
    front.wait_ready(2)
    homes = {}
    for number in [*range(20), *range(20)]:
        seen = get(address, cookie=f"sid=visitor-{number}", source="127.0.0.7").json()
        assert seen["peer"] in ("127.0.0.7", None)
        assert homes.setdefault(number, seen["slot"]) == seen["slot"], f"visitor {number} moved"
    slots = next(iter(json.loads(front.ctl("-j", "status"))["pools"].values()))["slots"]
    assert all(slot["handed_off"] == slot["acknowledged"] > 0 for slot in slots), slots
    assert sum(slot["handed_off"] for slot in slots) == 40
    if name not in STATIC and name != "nginx":
        assert set(homes.values()) == {"0", "1"}

    # One dies, and its clients come back to its slot.
    pid = next(slot["pid"] for slot in slots if slot["slot"] == "0")
    os.kill(pid, signal.SIGKILL)
    front.wait_replaced("0", pid)
    for number in range(20):
        seen = get(address, cookie=f"sid=visitor-{number}").json()
        assert seen["slot"] == homes[number]


@pytest.mark.parametrize("name", ["gunicorn, gthread", "uvicorn", "puma"])
def test_sigterm_finishes_what_is_under_way(limpet, name, tmp_path):
    front, address = start(limpet, name, tmp_path, workers=1)
    front.wait_ready(1)
    with Connection(address) as connection:
        assert connection.get("/").status == 200
        front.send_signal(signal.SIGTERM)
        assert front.wait() == 0


@pytest.mark.parametrize("name", ["uvicorn", "nginx"])
def test_a_rolling_restart_under_requests(limpet, name, tmp_path):
    front, address = start(limpet, name, tmp_path, workers=2)
    before = front.wait_ready(2)
    front.ctl("restart")
    answered = 0
    while any(pid in before.values() for pid in front.pids()):
        assert get(address, cookie=f"sid={answered}").status == 200
        answered += 1
    wait_until(lambda: len({ready.pid for ready in front.ready()}) == 4, "two new workers")
    assert answered
