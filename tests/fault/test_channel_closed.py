"""A worker closes its channel but lives."""
def test_its_slot_gets_another_worker(scene):
    """Whoever it was sent stays its own while it lives; new clients go on; it is ended after kill_timeout."""
    play = scene(workers=2, on_down="next", kill_timeout="500ms")
    home = play.worker("0")
    source = play.source("0")
    before = play.files()

    home.acknowledge(how="never")
    sent = [play.ask(source) for _ in range(5)]
    play.wait_slot("0", unacknowledged=5)
    home.close_channel()
    play.wait_counter("worker_channels_failed", 1)
    assert play.get(source)["slot"] == "1"
    # It lives: nobody else may have what it was sent.
    assert home.state() not in (None, "Z")

    # Then it is ended, and the five, which it never read, are served.
    for one in sent:
        assert one.answer()["pid"] != home.pid
    play.front.wait_replaced("0", home.pid)
    play.worker("0")
    assert play.get(source)["slot"] == "0"
    assert play.counter("worker_channels_failed") == 1
    play.account()
    play.wait_files(before)


def test_its_pinned_connections_live_as_long_as_it(scene):
    play = scene(workers=2, on_down="next", kill_timeout="500ms")
    home = play.worker("0")
    pinned = play.ask(play.source("0"), path="/pin/{}").connection
    assert pinned.response().json()["pid"] == home.pid
    home.close_channel()
    pinned.send(b"still here\n")
    assert pinned.read_until(b"\n") == b"still here"
    play.front.wait_for("has closed its channel")
    assert pinned.ended()
    play.front.wait_replaced("0", home.pid)
    pinned.close()
    play.account()
