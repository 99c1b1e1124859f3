"""The examples of limpet-worker(7), in each language: as they stand there, behind limpet and behind a front that is played."""
import re
import resource
import shutil

import pytest

from harness import documents, liblimpet, paths
from harness.front import Front
from harness.http import get, request

EXAMPLES = paths.ROOT / "config" / "examples"
BEGINNINGS = {"worker.c": "#include", "worker.go": "package main", "worker.py": "import json", "worker.rb": 'require "json"'}
ANSWER = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nslot %s\n"


def test_the_manual_shows_the_files():
    assert sorted(BEGINNINGS) == sorted(path.name for path in EXAMPLES.glob("worker.*"))
    for name, beginning in BEGINNINGS.items():
        assert documents.literal("limpet-worker.7", beginning) == (EXAMPLES / name).read_text(encoding="utf-8"), name


def command_of(name, directory):
    """The command that runs the example; compiles it if need be."""
    if name == "worker.py":
        return ["/usr/bin/python3", str(EXAMPLES / name)]
    if name == "worker.rb":
        if not shutil.which("ruby"):
            pytest.skip("ruby is not installed")
        return ["ruby", str(EXAMPLES / name)]
    shutil.copy(EXAMPLES / name, directory)
    if name == "worker.go":
        if not shutil.which("go"):
            pytest.skip("go (golang-go) is not installed")
        liblimpet.run("GOFLAGS=-buildvcs=false GO111MODULE=off go build -o worker worker.go", directory)
    else:
        liblimpet.run("cc -Wall -Wextra -Werror -o worker worker.c $(pkg-config --cflags --libs limpet)", directory)
    return [str(directory / "worker")]


@pytest.fixture(scope="module", params=sorted(BEGINNINGS))
def command(request, tmp_path_factory):
    return command_of(request.param, tmp_path_factory.mktemp("example"))


@pytest.fixture
def front(command):
    front = Front(command, env=liblimpet.environment())
    hello = front.read()
    assert (hello["type"], hello["version"]) == ("hello", 1)
    assert front.read() == {"type": "ready"}
    yield front
    front.end()


def test_answers(front):
    front.send({"type": "ping", "id": 41})
    assert front.read() == {"type": "pong", "id": 41}
    with front.connect() as client:
        client.send(request("/"))
        assert client.read_all() == ANSWER % b"2"
    front.send({"type": "weather", "id": 1})
    front.send({"type": "connection", "id": 77, "client": "", "key": "ip", "listener": "web"})
    assert front.read() == {"type": "refuse", "id": 77}


def test_clients_that_say_nothing_or_go(front):
    with front.connect() as silent:
        front.connect().close()
        with front.connect() as client:
            client.send(request("/"))
            assert client.read_all() == ANSWER % b"2"
        silent.send(request("/"))
        assert silent.read_all() == ANSWER % b"2"


def test_no_room(front):
    # What takes a connection for the first time may open files of its own.
    with front.connect() as client:
        client.send(request("/"))
        client.read_all()
    pid = front.worker.pid
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (0, limits[1]))
    refused = front.pass_on()
    assert front.read() == {"type": "refuse", "id": front.next_id}
    refused.close()
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    with front.connect() as client:
        client.send(request("/"))
        assert client.read_all() == ANSWER % b"2"


def test_drained_it_ends_with_its_last_client(front):
    with front.connect() as client:
        front.send({"type": "drain"})
        client.send(request("/"))
        assert client.read_all() == ANSWER % b"2"
    assert front.worker.wait(10) == 0


def test_the_end_of_the_channel_is_its_own(front):
    front.channel.close()
    assert front.worker.wait(10) == 0


def test_behind_limpet(limpet, command):
    front = limpet(command, workers=2, listen="127.0.0.1:0", sticky="cookie:sid", protocol="limpet",
                   env=liblimpet.environment())
    pids = front.wait_ready(2)

    def slot_of(number):
        answer = get(front.address, cookie=f"sid=visitor{number}")
        return re.fullmatch(rb"slot (\d+)\n", answer.body)[1].decode()
    homes = {number: slot_of(number) for number in range(20)}
    assert set(homes.values()) == {"0", "1"}
    front.ctl("restart", "default")
    front.wait_for("all workers are of the new generation")
    assert set(front.wait_ready(2)) == set(pids)
    assert homes == {number: slot_of(number) for number in range(20)}
    assert front.stop() == 0
