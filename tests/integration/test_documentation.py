"""Every command and configuration that README and the manuals show does what they say.

CHECKS has an entry for each command; a command without one, or an entry without a command, is a failure.
"""
import functools
import json
import os
import pathlib
import re
import shlex
import shutil
import socket
import subprocess

import pytest

from harness import documents, liblimpet, paths
from harness.http import Connection, get, request
from harness.wait import wait_until

# A worker for @socket.io/sticky, less socket.io.
STICKY_WORKER = """
const http = require('http');
const server = http.createServer((request, response) => response.end(`slot ${process.env.LIMPET_SLOT}\\n`));
process.on('message', (message, socket) => {
  if (message.type === 'sticky:connection') { server.emit('connection', socket); socket.resume(); }
});
"""


@pytest.fixture
def place(tmp_path):
    """A directory with the files that the commands name."""
    server = documents.fences(documents.README, "js")[0]
    assert server.count("listen(3000)") == 1
    (tmp_path / "server.js").write_text(server.replace("listen(3000)", 'listen(0, "127.0.0.1")'), encoding="utf-8")
    (tmp_path / "worker.js").write_text(STICKY_WORKER, encoding="utf-8")
    for name, beginning in (("worker.py", "import json"), ("worker.rb", 'require "json"'), ("worker.go", "package main"),
                            ("worker.c", "#include <errno.h>")):
        (tmp_path / name).write_text(documents.literal("limpet-worker.7", beginning), encoding="utf-8")
    (tmp_path / "loop.c").write_text(documents.literal("liblimpet.3", "#include <limpet.h>"), encoding="utf-8")
    (tmp_path / "limpet.json").write_text(documents.fences(documents.README, "json")[0], encoding="utf-8")
    return tmp_path


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60, check=False,
                          stdin=subprocess.DEVNULL, **options)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def slot_of(address, source, number):
    kind, _, name = source.partition(":")
    if kind == "ip":
        response = get(address, source=f"127.0.7.{number + 1}")
    elif kind == "cookie":
        response = get(address, cookie=f"{name}=visitor{number}")
    elif kind == "query":
        response = get(address, f"/socket.io/?EIO=4&{name}=s{number}")
    else:
        assert (kind, name) == ("path", "2")
        response = get(address, f"/room/number{number}/messages")
    assert response.status == 200, response
    return re.fullmatch(rb"slot (\w+)\n", response.body)[1].decode()


def check_sticky(front, source, workers):
    front.wait_ready(workers)
    address = front.address
    homes = {number: slot_of(address, source, number) for number in range(40)}
    assert homes == {number: slot_of(address, source, number) for number in range(40)}
    assert len(set(homes.values())) == workers
    return homes


def start(limpet, place, command):
    """Runs it as it stands, but for the port and the control socket: those of a test are its own."""
    words = shlex.split(command)[1:]
    while "--control" in words:
        at = words.index("--control")
        del words[at:at + 2]
    for at, word in enumerate(words):
        if word == "-l":
            assert words[at + 1].endswith("8080")
            words[at + 1] = words[at + 1].replace("8080", "0")
    return limpet(arguments=words, cwd=place), words


def check_serves(limpet, place, command):
    front, words = start(limpet, place, command)
    options = words[:words.index("--")]
    workers = int(options[options.index("-n") + 1]) if "-n" in options else len(os.sched_getaffinity(0))
    source = options[options.index("-s") + 1] if "-s" in options else "ip"
    check_sticky(front, source, workers)


def check_program(limpet, place, command):
    words = shlex.split(command.replace("8000", "0"))[1:]
    front = limpet(arguments=words, cwd=place)
    front.wait_ready(4)
    for number in range(30):
        assert get(front.address, cookie=f"sid={number}").status == 200
    slots = json.loads(front.ctl("-j", "status"))["pools"]["default"]["slots"]
    assert sum(slot["acknowledged"] for slot in slots) == 30 and all(slot["acknowledged"] for slot in slots)


BUILDS = {"./worker": "cc -o worker worker.c $(pkg-config --cflags --libs limpet)",
          "./loop": "cc -o loop loop.c $(pkg-config --cflags --libs limpet)", "./go-worker": "go build -o go-worker worker.go"}


def check_builds(_, place, command):
    assert command in BUILDS.values()
    program = shlex.split(command)[0]
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    liblimpet.run(command, place)


def check_serves_built(limpet, place, command):
    """A worker that is compiled, or interpreted by what may not be here."""
    program = command.split(" -- ")[1]
    if program in BUILDS:
        check_builds(limpet, place, BUILDS[program])
    elif not shutil.which(program.split()[0]):
        pytest.skip(f"{program.split()[0]} is not installed")
    if program == "./loop":
        return check_greets(limpet, place, command)
    check_serves(functools.partial(limpet, env=liblimpet.environment()), place, command)


def check_greets(limpet, place, command):
    front, _ = start(functools.partial(limpet, env=liblimpet.environment()), place, command)
    front.wait_ready(1)
    with Connection(front.address) as client:
        name, port = client.socket.getsockname()
        assert client.read_all() == f"hello {name}:{port}\n".encode()
    assert front.stop() == 0


def check_curl(limpet, place, command):
    front = limpet(["node", "server.js"], workers=2, cwd=place)
    front.wait_ready(2)
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    assert run(*shlex.split(command.replace("3000", str(front.port)))).startswith("slot ")


def check_serves_from_file(limpet, place, _):
    config = json.loads((place / "limpet.json").read_text(encoding="utf-8"))
    config["listeners"]["web"]["address"] = "127.0.0.1:0"
    check_sticky(limpet(config=config, cwd=place), "cookie:sid", 4)


def check_runs(_, place, command):
    """A command that prints and ends."""
    return run(*shlex.split(command.replace("limpet ", f"{paths.limpet()} ", 1)), cwd=place)


def check_schema(limpet, place, command):
    assert json.loads(check_runs(limpet, place, command))["title"] == "limpet.json"


def check_print_config(limpet, place, command):
    printed = place / "printed.json"
    printed.write_text(check_runs(limpet, place, command), encoding="utf-8")
    run(paths.limpet(), "-t", "-c", printed, cwd=place)


def check_status(limpet, place, command):
    front = limpet(["node", "server.js"], workers=2, cwd=place)
    front.wait_ready(2)
    get(front.address)
    environment = {**os.environ}
    words = shlex.split(command)
    if "-S" in words:
        words[words.index("-S") + 1] = str(front.control)
    else:
        environment["LIMPET_CONTROL"] = str(front.control)
    printed = run(paths.limpetctl(), *words[1:], env=environment)
    if "-j" in words:
        status = json.loads(printed)
        assert status["counters"]["accepted"] == 1
        manual = (paths.ROOT / "man" / "limpetctl.8").read_text(encoding="utf-8")
        shown = set(re.findall(r"^\.Li (\w+)", manual, re.MULTILINE))
        slot = next(iter(status["pools"].values()))["slots"][0]
        assert {*status, *status["listeners"][0], *slot} <= shown
    else:
        assert re.search(r"^accepted +1$", printed, re.MULTILINE)
        assert printed.count(" ready ") == 2


def check_control(limpet, place, command):
    front = limpet(["node", "server.js"], workers=2, cwd=place)
    slots = front.wait_ready(2)
    words = shlex.split(command.replace("restart chat", "restart default"))[1:]  # without a file the pool is called so
    words[words.index("-S") + 1] = str(front.control)
    done = {"restart": "all workers are of the new generation", "reload": "limpet: reloaded", "stop": "limpet: stopped"}
    run(paths.limpetctl(), *words)
    front.wait_for(done[words[2]])
    if words[2] == "stop":
        assert front.wait() == 0
    else:
        get(front.address)
        assert (front.wait_ready(2) == slots) == (words[2] == "reload")


def check_hash_secret(limpet, place, command):
    run("sh", "-c", command, cwd=place)
    config = {"hash_secret": str(place / "hash_secret"),
              "pools": {"chat": {"command": ["node", "server.js"], "workers": 3}}}
    first, second = (check_sticky(limpet(config=config, cwd=place), "ip", 3) for _ in range(2))
    assert first == second


def check_demo(limpet, place, command):
    if not paths.demo_worker().exists():
        pytest.skip("built without the demo")
    process = subprocess.Popen([*shlex.split(command), "-l", "127.0.0.1:0"], cwd=paths.ROOT, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        url = re.search(r"http://([\d.]+):(\d+)/", process.stdout.readline())
        assert get((url[1], int(url[2]))).status == 200
    finally:
        process.terminate()
        assert process.wait(20) == 0
        process.stdout.close()


def check_script(_, __, command):
    """Scripts that cannot run within themselves, or that change the machine."""
    script = paths.ROOT / shlex.split(command)[1]
    run("sh", "-n", script)


def check_packages(*_):
    needed = run("sh", paths.ROOT / "config" / "packages", "--list", "build", "test", "bench", "browser", "lint").split()
    rows = re.search(r"^## Dependencies\n(.*?)^## ", documents.README.read_text(encoding="utf-8"),
                     re.MULTILINE | re.DOTALL)[1]
    listed = [name for row in re.findall(r"^\| ([a-z][^|]+) \|", rows, re.MULTILINE) for name in row.split(", ")]
    assert sorted(listed) == sorted(set(needed))  # some are in two sets


def check_was_built(*_):
    assert (paths.build() / "build.ninja").exists() and paths.limpet().exists()


def check_install(_, place, __):
    root = place / "root"
    run("meson", "install", "-C", paths.build(), "--no-rebuild", env={**os.environ, "DESTDIR": str(root)})
    installed = {path.name for path in root.rglob("*") if path.is_file()}
    assert {"limpet", "limpetctl", "limpet-join", "limpet-join.8", "limpet.8", "limpetctl.8", "limpet.json.5", "limpet-worker.7", "limpet.schema.json",
            "limpet.service", "minimal.json", "behind-proxy.json", "several-pools.json", "README.md", "liblimpet.3", "limpet.h",
            "limpet.pc", "liblimpet.a", "worker.c", "worker.go", "worker.py", "worker.rb"} <= installed
    unit = next(root.rglob("limpet.service")).read_text(encoding="utf-8")
    program = re.search(r"^ExecStart=(\S+) -c /etc/limpet/limpet.json$", unit, re.MULTILINE)[1]
    installed_program = root / program.lstrip("/")
    assert run(installed_program, "--version").startswith("limpet ")
    for example in root.rglob("examples/*.json"):
        if "schema" not in example.name:
            run(installed_program, "-t", "-c", example)


def check_join(limpet, place, command):
    config = json.loads(next(text for name, text in documents.configurations() if '"slots": ["a"' in text))
    config["listeners"]["web"]["address"] = "127.0.0.1:0"
    config["pools"]["chat"]["socket"] = str(place / "chat.sock")
    front = limpet(config=config)
    words = shlex.split(command.replace("/run/limpet", str(place)))
    joined = subprocess.Popen([paths.limpet_join(), *words[1:]], cwd=place, stdin=subprocess.DEVNULL)
    try:
        assert front.wait_ready(1) == {"a": joined.pid}
        assert slot_of(front.address, "cookie:sid", 1) == "a"
    finally:
        joined.terminate()
        joined.wait(10)


def check_unit(_, place, __):
    unit = (paths.build() / "config" / "limpet.service").read_text(encoding="utf-8")
    assert "@" not in unit and "KillMode=mixed" in unit
    if shutil.which("systemd-analyze"):
        changed = place / "limpet.service"
        changed.write_text(re.sub(r"^(ExecStart(?:Pre)?=)\S+", rf"\1{paths.limpet()}", unit, flags=re.MULTILINE),
                           encoding="utf-8")
        run("systemd-analyze", "verify", "--man=no", changed)


def check_example(_, place, command):
    example = paths.ROOT / shlex.split(command)[1]
    run(paths.limpet(), "-t", "-c", example, cwd=place)


def check_ldconfig(*_):
    """Where the library goes by default, this looks."""
    assert str(liblimpet.installed("liblimpet.so.0")).startswith(str(liblimpet.root() / "root" / "usr" / "local" / "lib"))


def check_manual(_, __, command):
    assert (paths.ROOT / shlex.split(command)[2]).exists()


PYTHON_PACKAGE = {}  # where it was installed, once for all of its commands


def check_python_package(limpet, place, command):
    """Installed as shown: the virtual environment, the package, a runner."""
    lines = [line for _, line in documents.commands() if line.startswith(("python3 -m venv ", "venv/bin/pip "))]
    if not PYTHON_PACKAGE:
        shutil.copytree(paths.ROOT / "src" / "worker" / "python", place / "src" / "worker" / "python",
                        ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info", ".mypy_cache"))
        for line in lines:
            run(*shlex.split(line), cwd=place, env={**os.environ, "PATH": "/usr/bin:/bin", "PIP_DISABLE_PIP_VERSION_CHECK": "1"})
        PYTHON_PACKAGE["venv"] = place / "venv"
    if command in lines:
        run(PYTHON_PACKAGE["venv"] / "bin" / "python", "-c", "import limpet.asyncio, limpet.uvicorn, limpet.hypercorn", cwd=place)
        return
    if not (place / "venv").exists():
        (place / "venv").symlink_to(PYTHON_PACKAGE["venv"])
    (place / "app.py").write_text("""import os
async def app(scope, receive, send):
    if scope["type"] == "http":
        body = b"slot %s\\n" % os.environ["LIMPET_SLOT"].encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})
""", encoding="utf-8")
    check_serves(limpet, place, command)


def check_node_module(_, place, command):
    package = place / "src" / "worker" / "node"
    shutil.copytree(paths.ROOT / "src" / "worker" / "node", package)
    run(*shlex.split(command), "--offline", "--no-audit", "--no-fund", cwd=place)
    assert run("node", "-e", "console.log(typeof require('limpet/worker').join)", cwd=place) == "function\n"


CHECKS = {
    "python3 -m venv --system-site-packages venv": check_python_package,
    "venv/bin/pip install --no-index --no-build-isolation src/worker/python": check_python_package,
    "limpet -n 4 -l 8080 -s cookie:sid -p limpet -- venv/bin/python -m limpet.uvicorn app:app": check_python_package,
    "limpet -n 4 -l 8080 -s cookie:sid -p limpet -- venv/bin/python -m limpet.hypercorn app:app": check_python_package,
    "npm install ./src/worker/node": check_node_module,
    "limpet -n 4 -s cookie:sid -- python3 -m http.server 8000": check_program,
    "sh config/demo": check_demo,
    "sh tests/run": check_script,
    "sh config/packages build": check_packages,
    "meson setup build": check_was_built,
    "ninja -C build": check_was_built,
    "build/src/limpet -- node server.js": check_serves,
    "curl http://127.0.0.1:3000/": check_curl,
    "limpet -- node server.js": check_serves,
    "limpet -n 4 -l 0.0.0.0:8080 -s cookie:sid -s ip -- node server.js": check_serves,
    "limpet -l 8080 -s query:sid -p node-ipc:socket.io -- node worker.js": check_serves,
    "limpet -l 8080 -s path:2 -p limpet -- python3 worker.py": check_serves,
    "limpet -l 8080 -p limpet -- python3 worker.py": check_serves,
    "limpet -n 2 -l 8080 -s cookie:sid -p limpet -- python3 worker.py": check_serves,
    "limpet -n 2 -l 8080 -s cookie:sid -p limpet -- ruby worker.rb": check_serves_built,
    "limpet -n 2 -l 8080 -s cookie:sid -p limpet -- ./go-worker": check_serves_built,
    "limpet -n 2 -l 8080 -s cookie:sid -p limpet -- ./worker": check_serves_built,
    "limpet -l 8080 -p limpet -- ./loop": check_serves_built,
    "go build -o go-worker worker.go": check_builds,
    "cc -o worker worker.c $(pkg-config --cflags --libs limpet)": check_builds,
    "cc -o loop loop.c $(pkg-config --cflags --libs limpet)": check_builds,
    "ldconfig": check_ldconfig,
    "limpet --control /tmp/limpet.sock -- node server.js": check_serves,
    "limpet -t -c limpet.json": check_runs,
    "limpet --print-schema": check_schema,
    "limpet --print-config -c limpet.json": check_print_config,
    "limpet --print-config -- node server.js": check_print_config,
    "limpet -c limpet.json": check_serves_from_file,
    "limpetctl status": check_status,
    "limpetctl -v status": check_status,
    "limpetctl -S /tmp/limpet.sock status": check_status,
    "limpetctl -S /tmp/limpet.sock -j status": check_status,
    "limpetctl -S /tmp/limpet.sock restart default": check_control,
    "limpetctl -S /tmp/limpet.sock restart chat": check_control,
    "limpetctl -S /tmp/limpet.sock reload": check_control,
    "limpetctl -S /tmp/limpet.sock stop": check_control,
    "head -c 32 /dev/urandom > hash_secret": check_hash_secret,
    "meson install -C build": check_install,
    "mkdir -p /etc/limpet": check_unit,
    "cp config/minimal.json /etc/limpet/limpet.json": check_example,
    "limpet -t -c /etc/limpet/limpet.json": check_unit,
    "systemctl daemon-reload": check_unit,
    "systemctl enable --now limpet": check_unit,
    "limpet-join -S /run/limpet/chat.sock -s a -- node server.js": check_join,
    "man -l man/limpet.8": check_manual,
}

COMMANDS = sorted({command for _, command in documents.commands()})


@pytest.mark.parametrize("command", COMMANDS)
def test_command(limpet, place, command):
    assert command in CHECKS, f"no check for {command!r}: give it one in CHECKS"
    CHECKS[command](limpet, place, command)


def test_no_check_is_left_over():
    assert len(COMMANDS) > 20
    assert set(CHECKS) <= set(COMMANDS)


@pytest.mark.parametrize("name,text", documents.configurations())
def test_configuration(place, name, text):
    (place / "shown.json").write_text(text, encoding="utf-8")
    run(paths.limpet(), "-t", "-c", "shown.json", cwd=place)


def anchors(text):
    """GitHub's names of the headings."""
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


@pytest.mark.parametrize("document", ["README.md", "NEWS.md", "src/README.md", "bench/README.md", "src/worker/python/README.md",
                                      "src/worker/node/README.md", "tests/apps/README.md"])
def test_links_lead_somewhere(document):
    document = paths.ROOT / document
    for link in re.findall(r"\]\(([^)]+)\)", document.read_text(encoding="utf-8")):
        name, _, anchor = link.partition("#")
        target = document.parent / name if name else document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), link


def test_problems_of_a_configuration_read_as_shown(tmp_path):
    (tmp_path / "limpet.json").write_text('{\n  "listeners": {\n    "web": {\n      "adress": "80"\n    }\n  },\n  "pools": {\n'
                                          '    "chat": { "command": ["node", "server.js"],\n'
                                          '               "hold": 2 }\n  }\n}\n', encoding="utf-8")
    shown = documents.literal("limpet.json.5", "limpet.json:4").splitlines()
    done = subprocess.run([paths.limpet(), "-t", "-c", "limpet.json"], cwd=tmp_path, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines() == shown


# ---- behind a proxy, as limpet(8) says ----

def behind(limpet, place):
    """A limpet with a listener for each proxy of limpet(8); returns their addresses."""
    config = {
        "listeners": {
            "http": {"address": "127.0.0.1:0", "sticky": {"cookie": "sid"}, "trusted_proxies": ["127.0.0.0/8"]},
            "proxied": {"address": "127.0.0.2:0", "sticky": {"cookie": "sid"}, "trusted_proxies": ["127.0.0.0/8"],
                        "proxy_protocol": True}},
        "pools": {"app": {"command": ["node", "server.js"], "workers": 4}}}
    front = limpet(config=config, cwd=place)
    front.wait_ready(4)
    addresses = {address[0]: address for address, _ in front.listening()}
    return addresses["127.0.0.1"], addresses["127.0.0.2"]


def check_users_are_not_mixed(direct, proxy):
    """One client connection to the proxy, many users: each reaches the worker that it has without the proxy."""
    homes = {number: slot_of(direct, "cookie:sid", number) for number in range(20)}
    assert len(set(homes.values())) > 1

    def reachable():
        try:
            return get(proxy).status == 200
        except OSError:
            return False
    wait_until(reachable, f"the proxy at {proxy}")
    with Connection(proxy) as connection:
        for number, slot in homes.items():
            connection.send(request("/", cookie=f"sid=visitor{number}"))
            assert connection.response().body.decode() == f"slot {slot}\n"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ending(process):
    process.terminate()
    process.wait(10)


@pytest.mark.skipif(not shutil.which("nginx", path="/usr/sbin:/usr/bin"), reason="nginx is not installed")
def test_nginx_in_front(limpet, place):
    direct, proxied = behind(limpet, place)
    port = free_port()
    shown = documents.literal("limpet.8", "# nginx.conf")
    assert "keepalive" not in shown
    shown = shown.replace("127.0.0.1:8080", "%s:%d" % direct).replace("127.0.0.1:8000", f"127.0.0.1:{port}")
    (place / "nginx.conf").write_text(
        f"daemon off; pid {place}/nginx.pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; client_body_temp_path {place}/b; proxy_temp_path {place}/p; fastcgi_temp_path {place}/f;\n"
        f"uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;\n{shown}}}\n", encoding="utf-8")
    process = subprocess.Popen([shutil.which("nginx", path="/usr/sbin:/usr/bin"), "-p", place, "-c", place / "nginx.conf"],
                               stdin=subprocess.DEVNULL)
    try:
        check_users_are_not_mixed(direct, ("127.0.0.1", port))
    finally:
        ending(process)


@pytest.mark.skipif(not shutil.which("haproxy", path="/usr/sbin:/usr/bin"), reason="HAProxy is not installed")
def test_haproxy_in_front(limpet, place):
    direct, proxied = behind(limpet, place)
    port = free_port()
    shown = documents.literal("limpet.8", "# haproxy.cfg")
    shown = shown.replace("127.0.0.1:8081", "%s:%d" % proxied).replace("127.0.0.1:8000", f"127.0.0.1:{port}")
    (place / "haproxy.cfg").write_text(shown, encoding="utf-8")
    process = subprocess.Popen([shutil.which("haproxy", path="/usr/sbin:/usr/bin"), "-db", "-f", place / "haproxy.cfg"],
                               stdin=subprocess.DEVNULL)
    try:
        check_users_are_not_mixed(direct, ("127.0.0.1", port))
    finally:
        ending(process)


# ---- the map of the source ----

def test_the_map_of_the_source_names_what_is_there():
    src = paths.ROOT / "src"
    text = (src / "README.md").read_text(encoding="utf-8")
    everything = {path: path.read_text(encoding="utf-8") for path in src.rglob("*.[ch]")}
    names = {path.name for path in everything}
    for name in re.findall(r"\b([\w/]+\.[ch])\b", text):
        assert pathlib.Path(name).name in names and ("/" not in name or (src / name).exists()), name
    for row in re.findall(r"^\|.*\|$", text, re.MULTILINE):
        files = [body for path, body in everything.items()
                 if path.suffix == ".c" and (path.name in row or f" {path.parent.name}/ " in row)]
        for function in re.findall(r"`(\w+)\(", row):
            if function not in {"recv", "sendmsg"}:
                assert any(re.search(rf"^[\w *]*\b{function}\(", body, re.MULTILINE) for body in files), function
    for folder in (path for path in src.iterdir() if path.is_dir()):
        assert f"| {folder.name}/ |" in text, folder


def test_a_newcomer_finds_the_three_places():
    """Where a connection is accepted, where its worker is picked, where its socket is passed on."""
    front = [path for path in (paths.ROOT / "src").rglob("*.c") if "worker" not in path.relative_to(paths.ROOT / "src").parts]
    text = {path.name: path.read_text(encoding="utf-8") for path in front}
    assert sorted(name for name, body in text.items() if "accept4(" in body) == ["control.c", "join.c", "listener.c"]
    assert [name for name, body in text.items() if "SCM_RIGHTS" in body] == ["fd_passing.c"]
    assert sorted(name for name, body in text.items() if re.search(r"(?<![\w.>])pick\(", body)) == ["pick.c", "pool.c"]


def test_completion_knows_every_option():
    script = f"source {paths.ROOT}/config/completion/limpet.bash\n" \
        "COMP_WORDS=(limpet -); COMP_CWORD=1; _limpet; echo ${COMPREPLY[*]}; COMP_WORDS=(limpetctl ''); _limpetctl; " \
        "echo ${COMPREPLY[*]}; COMP_WORDS=(limpet-join -); _limpet_join; echo ${COMPREPLY[*]}"
    limpet_words, limpetctl_words, join_words = run("bash", "-c", script).splitlines()
    usage = run(paths.limpet_join(), "-h")
    assert set(re.findall(r"(?<=  )(--?[A-Za-z][\w-]*)(?=[ ,])", usage)) <= set(join_words.split())
    usage = run(paths.limpet(), "-h")
    assert set(re.findall(r"(?<=[ ,])(--?[A-Za-z][\w-]*)(?=[ ,])", usage)) <= {*limpet_words.split(), "--"}
    assert {"-S", "-j", "status"} <= set(limpetctl_words.split())
