"""A worker that acknowledges nothing: its window fills, its queue fills, then it is stuck, until it answers."""
import time


def test_window_then_queue_then_the_next_choice(scene):
    play = scene(workers=2, window=4, queue=3, stuck_timeout="1s")
    home = play.worker("0")
    source, others = play.source("0"), play.source("1")
    before = play.files()

    home.acknowledge(how="never")
    sent = [play.ask(source) for _ in range(4)]
    play.wait_slot("0", unacknowledged=4)
    queued = [play.ask(source) for _ in range(3)]
    play.wait_slot("0", unacknowledged=4, waiting=3)
    too_many = play.ask(source)
    assert too_many.status() == 503
    assert play.counter("queue_full") == 1

    # Clients of the other worker notice nothing.
    begin = time.monotonic()
    for _ in range(20):
        assert play.get(others)["slot"] == "1"
    assert time.monotonic() - begin < 1

    # Past stuck_timeout those that wait, and those that come, go to the next choice.
    play.front.wait_for("worker 0 acknowledged nothing")
    for one in queued:
        assert one.answer()["slot"] == "1"
    assert play.get(source)["slot"] == "1"
    assert play.counter("workers_stuck") == 1
    # Those that were sent stay its own while it lives.
    assert play.slot("0")["unacknowledged"] == 4

    home.acknowledge(how="at once")
    play.front.wait_for("worker 0 answers again")
    for one in sent:
        assert one.answer()["pid"] == home.pid
    assert play.get(source)["slot"] == "0"
    play.account(unserved=[too_many.number])
    play.wait_files(before)


def test_with_nobody_else(scene):
    """A pool of one: clients get an answer, and are served again when the worker is back."""
    play = scene(workers=1, window=2, queue=2, stuck_timeout="500ms")
    home = play.worker("0")
    before = play.files()
    home.acknowledge(how="never")
    sent = [play.ask() for _ in range(2)]
    play.wait_slot("0", unacknowledged=2)
    waiting = [play.ask() for _ in range(2)]
    assert [one.status() for one in waiting] == [503, 503]
    late = play.ask()
    assert late.status() == 503
    home.acknowledge(how="at once")
    assert [one.answer()["slot"] for one in sent] == ["0", "0"]
    play.front.wait_for("answers again")
    assert play.get()["slot"] == "0"
    play.account(unserved=[one.number for one in [*waiting, late]])
    play.wait_files(before)


def test_dies_in_the_end(scene):
    """What it never acknowledged is served by others when it is dead, and not before."""
    play = scene(workers=2, window=4, stuck_timeout="500ms", on_down="next")
    home = play.worker("0")
    source = play.source("0")
    home.acknowledge(how="never")
    sent = [play.ask(source) for _ in range(4)]
    play.wait_slot("0", unacknowledged=4)
    play.front.wait_for("worker 0 acknowledged nothing")
    assert play.counter("redispatched") == 0
    home.signal(9)
    for one in sent:
        assert one.answer()["slot"] == "1"
    play.account()


def test_a_queue_has_an_end_in_time(scene):
    """Also behind a worker that is not stuck."""
    play = scene(workers=1, window=1, queue_timeout="600ms", stuck_timeout="1m")
    before = play.files()
    home = play.worker("0")
    home.acknowledge(how="never")
    sent = play.ask()
    play.wait_slot("0", unacknowledged=1)
    late = [play.ask() for _ in range(5)]
    assert [one.status() for one in late] == [503] * 5
    assert play.counter("routers_started") == 1
    assert play.counter("queue_timeout") == 5
    waits = play.ask()
    play.wait_slot("0", waiting=1)
    home.acknowledge(how="at once")
    sent.answer()
    waits.answer()
    assert play.counter("queue_timeout") == 5
    play.account(unserved=[one.number for one in late])
    play.wait_files(before)


def test_a_client_behind_a_proxy_takes_no_more_than_its_share_of_the_queue(scene):
    play = scene(workers=1, window=1, listener={"trusted_proxies": ["127.0.0.1"], "max_waiting_per_client": 3})
    before = play.files()

    def ask(client):
        return play.ask(headers={"X-Forwarded-For": client})
    home = play.worker("0")
    home.acknowledge(how="never")
    asked = [ask("203.0.113.9") for _ in range(4)]  # one is handed off
    play.wait_slot("0", unacknowledged=1, waiting=3)
    over = ask("203.0.113.9")
    assert over.status() == 429
    asked += [ask("203.0.113.10"), play.ask()]
    play.wait_slot("0", unacknowledged=1, waiting=5)
    assert play.counter("client_limit") == 1
    home.acknowledge(how="at once")
    for one in asked:
        one.answer()
    play.account(unserved=[over.number])
    play.wait_files(before)
