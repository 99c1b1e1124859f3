"""What many connections at once have taken of the router's memory is given back."""
import re
import signal

import pytest

from harness import liblimpet
from harness.wait import wait_until

COUNT = 3000  # of some 500 bytes
LEFT = 400 * 1024


def resident(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+) kB", status.read()).group(1)) * 1024


@pytest.mark.skipif(liblimpet.sanitizers() != "none", reason="built with a sanitizer, which keeps what is freed")
def test_the_memory_of_many_that_waited(scene):
    play = scene(workers=1, stuck_timeout="1m", listener={"max_waiting": 10000, "max_waiting_per_client": 10000})
    play.get()
    router = play.router()
    before = resident(router)
    for _ in range(2):
        home = play.worker("0")
        home.signal(signal.SIGSTOP)
        asked = [play.ask(f"127.0.4.{number % 200 + 1}") for number in range(COUNT)]
        wait_until(lambda: sum(play.slot("0")[of] for of in ("waiting", "unacknowledged")) == COUNT, "all wait")  # noqa: B023
        assert resident(router) > before + COUNT * 400
        home.signal(signal.SIGCONT)
        for one in asked:
            one.answer()
        wait_until(lambda: resident(router) < before + LEFT, "it is given back")
    # Places that were given back can be had again, and their answers find them.
    assert play.router() == router
    play.account()
