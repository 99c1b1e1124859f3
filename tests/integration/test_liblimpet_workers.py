"""Workers that use liblimpet, with a limpet: those that it starts, and external ones."""
import os
import signal
import subprocess

import pytest

from harness import paths
from harness.wait import wait_until

PROGRAM = str(paths.build() / "tests" / "tools" / "liblimpet_worker")
WAYS = ["loop", "threads"]


class Worker:
    """An external one. What it says is in `said()`; tell() is obeyed by "loop"."""

    def __init__(self, workers, directory, number, way="loop", slot=None):
        self.output = directory / f"said-{number}"
        with open(self.output, "wb") as output:
            environment = {**os.environ, "FAULT_DIR": str(directory), "LIMPET_SOCKET": workers.path, "LIMPET_POOL": "app",
                           **({"LIMPET_SLOT": slot} if slot else {})}
            self.process = subprocess.Popen([PROGRAM, way], env=environment, stdin=subprocess.PIPE, stdout=output,
                                            start_new_session=True)
        workers.processes.append(self.process)
        self.pid = self.process.pid

    def said(self):
        return self.output.read_text().splitlines()

    def wait_said(self, line, count=1):
        wait_until(lambda: sum(said.startswith(line) for said in self.said()) >= count, f"{line!r}; it said {self.said()}", 40)

    def tell(self, line):
        before = self.said().count("done")
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        self.wait_said("done", before + 1)


@pytest.fixture
def joined(externals, tmp_path):
    """joined(play, workers, ...): an external worker that is ready, and its slot."""
    count = 0

    def start(workers, **options):
        nonlocal count
        count += 1
        worker = Worker(workers, tmp_path, count, **options)
        slot = wait_until(lambda: workers.slot_of(worker.pid), f"a slot for {worker.pid}; it said {worker.said()}")
        return worker, slot

    yield start


@pytest.mark.parametrize("way", WAYS)
def test_started_by_limpet(scene, way):
    """Under load, with the router killed, and a rolling restart: nobody is served twice or not at all."""
    play = scene(command=[PROGRAM, way], protocol="limpet", hold="20s")
    with play.load(concurrency=8, pinned=4) as load:
        wait_until(lambda: load.served > 200, "load")
        router = play.router()
        os.kill(router, signal.SIGKILL)
        wait_until(lambda: play.router() != router, "another router")
        served = load.served
        wait_until(lambda: load.served > served + 100, "load after the router's end")
    # What had come to the router that was killed, and was not yet a worker's, is lost with it.
    play.account(load, lost=16)
    before = {slot["pid"] for slot in play.pool()["slots"]}
    with play.load(concurrency=8) as load:
        wait_until(lambda: load.served > 50, "load")
        play.control("restart")
        play.front.wait_for("all workers are of the new generation")
    play.account(load)
    assert not before & {slot["pid"] for slot in play.pool()["slots"]}


@pytest.mark.parametrize("way", WAYS)
def test_external(externals, joined, limpet, way):
    """limpet stops, or is killed, and the next one has the same workers in the same slots. Clients notice nothing."""
    play, workers = externals(slots=3)
    slots = dict(joined(workers, way=way) for _ in range(3))
    assert sorted(slots.values()) == ["0", "1", "2"]
    homes = {source: play.get(source)["pid"] for source in (f"127.0.8.{n}" for n in range(1, 30))}
    assert set(homes.values()) == {worker.pid for worker in slots}
    pinned = play.ask("127.0.8.1", path="/pin/{}")
    assert pinned.connection.response().json()["pid"] == homes["127.0.8.1"]
    for end in (signal.SIGTERM, signal.SIGKILL):
        if end == signal.SIGTERM:
            play.front.stop()
        else:
            play.front.send_signal(end)
            play.front.wait()
        play.front = limpet(config=play.config)
        for worker, slot in slots.items():
            wait_until(lambda: workers.slot_of(worker.pid) == slot, f"{worker.pid} is in slot {slot} again", 40)
        assert {source: play.get(source)["pid"] for source in homes} == homes
        pinned.connection.send(b"still there\n")
        assert pinned.connection.read_exactly(12) == b"still there\n"
    play.account()


def test_what_it_is_told(externals, joined, limpet):
    play, workers = externals(slots=2)
    worker, slot = joined(workers, slot="1")
    assert slot == "1" and worker.said() == ["joined app 1"]
    play.front.stop()
    worker.wait_said("lost: ")
    assert worker.said()[1] == "lost: limpet is stopping"
    worker.wait_said(f"lost: connect({workers.path}) failed: ")
    play.front = limpet(config=play.config)
    worker.wait_said("joined app 1", 2)
    play.control("restart")
    worker.wait_said("drain")
    assert worker.process.wait(10) == 0


def test_rejected_until_there_is_a_slot(externals, tmp_path):
    play, workers = externals(slots=1)
    worker = Worker(workers, tmp_path, 1, slot="2")
    worker.wait_said("rejected: there is no slot 2", 2)
    play.config["pools"]["app"]["slots"] = 3
    play.front.write_config(play.config)
    play.control("reload")
    worker.wait_said("joined app 2")
    assert wait_until(lambda: workers.slot_of(worker.pid), "it is ready") == "2"


def test_stats(externals, joined, limpet):
    play, workers = externals(slots=1)
    worker, _ = joined(workers)
    worker.tell("stat rooms 12")
    play.wait_slot("0", values={"rooms": 12})
    worker.tell("stat load 0.25")
    play.wait_slot("0", values={"load": 0.25})
    play.front.stop()
    play.front = limpet(config=play.config)
    wait_until(lambda: workers.slot_of(worker.pid), "it has joined again", 40)
    play.wait_slot("0", values={"load": 0.25})


def test_a_limit(externals, joined):
    play, workers = externals(slots=2)
    first, slot = joined(workers)
    other, _ = joined(workers)
    source = play.source(slot)
    wait_until(lambda: play.slot(slot)["unacknowledged"] == 0, "answers")
    first.tell("limit 1")
    pinned = play.ask(source, path="/pin/{}")
    assert pinned.connection.response().json()["pid"] == first.pid
    assert play.get(source)["pid"] == other.pid
    pinned.connection.close()
    wait_until(lambda: play.get(source)["pid"] == first.pid, "it takes connections again")
    play.account()


def test_leaving(externals, joined):
    """Under load: nobody is lost, and the slot is free for the next one."""
    play, workers = externals(slots=2, hold="20s")
    first, slot = joined(workers)
    joined(workers)
    pinned = play.ask(play.source(slot), path="/pin/{}")
    assert pinned.connection.response().json()["pid"] == first.pid
    with play.load(concurrency=8) as load:
        wait_until(lambda: load.served > 50, "load")
        first.tell("leave")
        first.wait_said("drain")
        wait_until(lambda: play.slot(slot)["state"] == "free", "the slot is free")
        joined(workers, slot=slot)
        served = load.served
        wait_until(lambda: load.served > served + 50, "more load")
    assert first.process.poll() is None
    pinned.connection.send(b"still there\n")
    assert pinned.connection.read_exactly(12) == b"still there\n"
    pinned.connection.close()
    assert first.process.wait(10) == 0
    play.account(load)
