"""Workers that acknowledge twice, or what they never got."""
import pytest


@pytest.mark.parametrize("how", ["twice", "foreign"])
def test_they_count_for_nothing(scene, how):
    play = scene(workers=2)
    home = play.worker("0")
    mine, others = play.source("0"), play.source("1")
    before = play.files()
    skipped = play.counter("worker_messages_skipped")

    home.acknowledge(how=how)
    play.worker("1").acknowledge(how="never")
    kept = [play.ask(others) for _ in range(10)]
    play.wait_slot("1", unacknowledged=10)
    # While another worker's hand-offs are under way: none of them is touched.
    for _ in range(50):
        assert play.get(mine)["pid"] == home.pid
    play.wait_counter("worker_messages_skipped", skipped + 50)
    assert play.slot("1")["unacknowledged"] == 10
    play.worker("1").acknowledge(how="at once")
    for one in kept:
        assert one.answer()["slot"] == "1"
    assert play.counter("redispatched") == play.counter("refused") == 0
    assert play.counter("workers_exited") == 0
    play.account()
    play.wait_files(before)


@pytest.mark.parametrize("how", ["twice", "foreign"])
def test_under_load(scene, how):
    play = scene(workers=2, start={"acknowledge": how})
    before = play.files()
    with play.load(concurrency=16, pinned=10) as load:
        play.wait_counter("acknowledged", 1000, seconds=30)
    play.account(load)
    play.wait_files(before)
