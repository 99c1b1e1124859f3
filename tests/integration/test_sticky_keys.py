"""The keys: what of a request decides, with one ordinary http server behind limpet."""
import os
import signal

import pytest

from harness import sticky
from harness.http import Connection, get, request

WORKERS = 3


def test_no_configuration_at_all(limpet, app):
    """limpet -- node server.js: the port is the server's, the key the client's address."""
    front = limpet(app("http-ws.js"), workers=WORKERS, env={"HOST": "127.0.0.1"})
    front.wait_ready(WORKERS)
    sticky.check_sticky(front, sticky.by_address(front), WORKERS)


@pytest.mark.parametrize("source,ask", [
    ("ip", lambda front: sticky.by_address(front)),
    ("cookie:sid", lambda front: sticky.by_cookie(front, "sid")),
    ("header:X-Tenant", lambda front: sticky.by_header(front, "x-tenant")),
    ("query:room", lambda front: sticky.by_query(front, "room")),
    ("path:1", lambda front: sticky.by_path(front, 1)),
    ("path:3", lambda front: sticky.by_path(front, 3)),
], ids=["ip", "cookie", "header", "query", "path1", "path3"])
def test_each_key(limpet, app, source, ask):
    front = limpet(app("http-ws.js"), listen="127.0.0.1:0", sticky=source, workers=WORKERS)
    front.wait_ready(WORKERS)
    sticky.check_sticky(front, ask(front), WORKERS)


def test_the_first_source_with_a_value_wins_and_the_address_is_the_last_resort(limpet, app):
    front = limpet(app("http-ws.js"), listen="127.0.0.1:0", sticky=["cookie:sid", "query:sid"], workers=WORKERS)
    front.wait_ready(WORKERS)
    for number in range(20):
        value = f"v{number}"
        by_cookie = get(front.address, "/?sid=other", cookie=f"sid={value}").json()["pid"]
        # The same value, whatever source it comes from, is the same client.
        assert get(front.address, f"/?sid={value}").json()["pid"] == by_cookie
        assert get(front.address, f"/?sid={value}", cookie="sid=").json()["pid"] == by_cookie
    nobody = {get(front.address, "/", source="127.0.0.9").json()["pid"] for _ in range(10)}
    assert len(nobody) == 1


def test_a_slot_keeps_its_name_in_the_environment_and_counts_generations(limpet, app):
    front = limpet(app("http-ws.js"), listen="127.0.0.1:0", workers=2)
    slots = front.wait_ready(2)
    assert set(slots) == {"0", "1"}
    ask = sticky.by_address(front)
    answers = {ask(number)["slot"]: ask(number) for number in range(30)}
    for slot, answer in answers.items():
        assert (answer["pid"], answer["pool"]) == (slots[slot], "default")
    first = answers["0"]["generation"]
    os.kill(slots["0"], signal.SIGKILL)
    front.wait_replaced("0", slots["0"])
    later = next(answer for number in range(30) if (answer := ask(number))["slot"] == "0")
    assert int(later["generation"]) > int(first)


def test_the_client_address_that_the_application_sees_is_the_clients(limpet, app):
    front = limpet(app("http-ws.js"), listen="127.0.0.1:0", workers=2)
    front.wait_ready(2)
    for source in ("127.0.0.7", "127.1.2.3"):
        assert get(front.address, source=source).json()["peer"] in (source, f"::ffff:{source}")


def test_bodies_arrive_whole(limpet, app):
    front = limpet(app("http-ws.js"), listen="127.0.0.1:0", sticky="cookie:sid", workers=2)
    front.wait_ready(2)
    for size in (0, 1, 1460, 70_000, 5_000_000):
        answer = get(front.address, method="POST", cookie="sid=a", body=b"x" * size, timeout=30).json()
        assert answer["bytes"] == size


def test_pipelined_requests_on_one_connection_all_reach_the_worker_that_has_it(limpet, app):
    front = limpet(app("http-ws.js"), listen="127.0.0.1:0", sticky="cookie:sid", workers=2)
    front.wait_ready(2)
    with Connection(front.address) as connection:
        connection.send(b"".join(request(f"/{number}", cookie="sid=a") for number in range(50)))
        answers = [connection.response().json() for _ in range(50)]
    assert [answer["url"] for answer in answers] == [f"/{number}" for number in range(50)]
    assert len({answer["pid"] for answer in answers}) == 1


def test_a_head_that_comes_byte_by_byte(limpet, app):
    front = limpet(app("http-ws.js"), listen="127.0.0.1:0", sticky="cookie:sid", workers=2)
    front.wait_ready(2)
    expected = get(front.address, cookie="sid=slow").json()["pid"]
    with Connection(front.address) as connection:
        for byte in request(cookie="sid=slow"):
            connection.send(bytes([byte]))
        assert connection.response().json()["pid"] == expected
