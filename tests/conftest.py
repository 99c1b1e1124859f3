"""Fixtures of all tests that run programs."""
import json
import os
import subprocess

import pytest

from harness import paths
from harness.external import Externals
from harness.limpet import Limpet
from harness.scene import Scene


@pytest.fixture
def limpet(tmp_path):
    """Starts limpets: limpet(command, ...) as class Limpet has it. Each is stopped at the end of the test, and must then
    have ended well."""
    started = []

    def start(*args, **options):
        if not paths.limpet().exists():
            pytest.fail(f"{paths.limpet()} is not there: build first, or set LIMPET_BINARY")
        instance = Limpet(tmp_path, *args, **options)
        started.append(instance)
        return instance

    yield start
    problems = []
    for instance in started:
        try:
            if instance.process.poll() is None:
                instance.stop()
            else:  # the test ended it itself, and has looked at the status
                instance.stop(expected=None)
        except AssertionError as problem:
            problems.append(str(problem))
        print(f"--- {' '.join(instance.arguments)}\n{instance.text()}")
    assert not problems, "\n".join(problems)


@pytest.fixture
def one_cpu():
    """All that the test starts has to share one CPU."""
    former = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(former)})
    yield
    os.sched_setaffinity(0, former)


@pytest.fixture
def scene(limpet, tmp_path):
    """scene(workers=2, ...): a limpet with scripted workers."""
    os.chmod(tmp_path, 0o777)
    return lambda **options: Scene(limpet, tmp_path, **options)


@pytest.fixture
def externals(scene, tmp_path):
    """externals(slots=2, ...): a scene, and external workers for it."""
    made = []

    def make(slots=2, workers=0, **options):
        play = scene(workers=workers, slots=slots, **{"socket": str(tmp_path / "join"), **options})
        play.status()  # it is there, and so is the socket
        made.append(Externals(play, tmp_path))
        return play, made[-1]

    yield make
    for workers in made:
        workers.end()


@pytest.fixture
def app():
    """app("http-ws.js") is the command that runs it; app("http-ws.js", node=18) with another Node.js."""
    def command(name, *arguments, node=None):
        program = "node" if node is None else str(paths.MODULES / f"node{node}" / "bin" / "node")
        return [program, str(paths.APPS / name), *arguments]
    return command


@pytest.fixture(params=["accept", "message"])
def node_protocol(request):
    """Both ways in which Node.js servers get their connections, for limpet(..., protocol=...)."""
    return f"node-cluster:{request.param}"


@pytest.fixture
def client():
    """Runs a script of tests/clients and returns what it printed, read as JSON."""
    def run(name, *arguments, seconds=60):
        done = subprocess.run(["node", paths.TESTS / "clients" / name, *map(str, arguments)], capture_output=True,
                              text=True, timeout=seconds, check=False)
        assert done.returncode == 0, f"{name} {arguments}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout.splitlines()[-1])
    return run
