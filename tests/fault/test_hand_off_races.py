"""Two things at the same moment, in the order that does harm. Each was found by the model (tests/model)."""
import contextlib
import os
import signal
import threading

from harness.http import Connection
from harness.scene import Told
from harness.wait import wait_until


class Stopped:
    """Processes that stand still, so that what reaches them meanwhile comes at once."""

    def __init__(self, *pids):
        self.pids = pids

    def __enter__(self):
        for pid in self.pids:
            os.kill(pid, signal.SIGSTOP)

    def __exit__(self, *_):
        for pid in reversed(self.pids):
            os.kill(pid, signal.SIGCONT)


def starting(play, slot, but=()):
    """The worker that is being started for the slot, though it is not ready."""
    def found():
        pids = [int(path.stem) for path in play.directory.glob("*.sock") if path.stem.isdigit()]
        return next((pid for pid in pids if pid not in but and Told(play.directory, slot, pid).state() in ("S", "R")), None)
    return Told(play.directory, slot, wait_until(found, "a worker is started"))


def only_worker(play):
    """Makes the one worker of a pool whose workers say ready when they are told to serve."""
    first = starting(play, "0")
    first.ready()
    play.front.wait_ready(1)
    return play.worker("0")


def test_what_a_dead_worker_acknowledged_counts_though_sending_to_it_failed_first(scene):
    play = scene(workers=2)
    home = play.worker("0")
    source = play.source("0")
    home.acknowledge(how="never")
    kept = play.ask(source, path="/pin/{}")
    play.wait_slot("0", unacknowledged=1)
    with Stopped(play.front.process.pid, play.router()):
        # The router will see the new connection before the acknowledgement of the old one.
        newcomer = play.ask(source)
        home.acknowledge(how="at once")
        assert kept.connection.response().json()["pid"] == home.pid
        home.signal(signal.SIGKILL)
    assert newcomer.answer()["pid"] != home.pid
    # It has read from it: with the worker the connection ends.
    kept.connection.send(b"GET /0 HTTP/1.1\r\n\r\n")
    assert kept.connection.ended()
    kept.connection.close()
    play.account()


def test_a_worker_whose_channel_was_given_up_keeps_what_it_was_sent(scene):
    play = scene(workers=2, on_down="next", kill_timeout="500ms")
    home = play.worker("0")
    source = play.source("0")
    home.acknowledge(how="never")
    kept = play.ask(source)
    play.wait_slot("0", unacknowledged=1)
    home.send(what="another version")
    play.wait_counter("unanswered", 1)
    # Nobody reads that it has it, but it has.
    home.acknowledge(how="at once")
    assert kept.answer()["pid"] == home.pid
    play.front.wait_replaced("0", home.pid)
    assert play.get(source)["slot"] == "0"
    play.account()


def ready_and_dead(worker):
    with contextlib.suppress(OSError):
        worker.ready(die=True)  # there is no answer


def test_a_new_worker_that_ends_at_once_leaves_the_slot_to_the_old_one(scene):
    play = scene(workers=1, start={"ready": False}, wait=False)
    old = only_worker(play)
    play.control("restart")
    new = starting(play, "0", but=[old.pid])
    supervisor = play.front.process.pid
    with Stopped(supervisor):
        # The router hears both, the supervisor of its end first.
        threading.Thread(target=ready_and_dead, args=(new,), daemon=True).start()
        wait_until(lambda: new.state() in (None, "Z"), "the new worker ends")
    assert play.get()["pid"] == old.pid
    play.account()


def test_a_worker_that_was_starting_when_the_router_crashed_is_started_again(scene):
    play = scene(workers=1, start={"ready": False}, wait=False)
    first = starting(play, "0")
    os.kill(play.router(), signal.SIGKILL)
    play.front.wait_for("was starting while the router crashed")
    wait_until(lambda: first.state() in (None, "Z"), "it is ended")
    starting(play, "0", but=[first.pid]).ready()
    play.front.wait_ready(1)
    play.get()
    play.account()


def ask(address):
    with Connection(address) as connection:
        connection.send(b"GET /1000 HTTP/1.1\r\n\r\n")
        return connection.response().json()


def test_a_retired_worker_is_told_to_finish_though_the_router_crashed(scene):
    play = scene(workers=1, start={"ready": False}, wait=False, drain_timeout="1h")
    old = only_worker(play)
    play.control("restart")
    new = starting(play, "0", but=[old.pid])
    router = play.router()
    with Stopped(play.front.process.pid):
        new.ready()
        # The supervisor has the news, but the router will not hear what follows from it.
        wait_until(lambda: ask(play.address)["pid"] == new.pid, "the router has heard it")
        os.kill(router, signal.SIGKILL)
    wait_until(lambda: old.state() in (None, "Z"), "the old worker has finished")
    assert play.get()["pid"] == new.pid


def test_a_router_that_does_not_hand_over_is_replaced_before_its_channels_are_read(scene):
    play = scene(workers=2, sticky=[{"cookie": "sid"}])
    before = play.files()
    router = play.router()
    half = play.half()
    os.kill(router, signal.SIGSTOP)
    play.front.send_signal(signal.SIGHUP)
    arrived = [play.ask() for _ in range(20)]
    play.front.wait_for("did not hand over in time")
    for one in arrived:
        one.answer()
    wait_until(lambda: all(slot["unacknowledged"] == 0 for slot in play.pool()["slots"]), "all are acknowledged")
    # It had this one's head, or half of it, and took it with it.
    half.connection.close()
    play.account(unserved=[half.number])
    play.wait_files(before)


def test_a_successor_that_crashes_is_not_replaced_beside_its_predecessor(scene):
    play = scene(workers=2)
    router = play.router()
    os.kill(router, signal.SIGSTOP)
    play.front.send_signal(signal.SIGHUP)
    successor = wait_until(lambda: [pid for pid in play.front.pids("limpet-router") if pid != router], "a successor")[0]
    os.kill(successor, signal.SIGKILL)
    play.front.wait_for("has lost its successor")
    wait_until(lambda: play.router() not in (router, successor), "a third router")
    assert router not in play.front.pids()
    for _ in range(20):
        play.get()
    play.account()
