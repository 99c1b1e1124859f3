"""What other sticky fronts were seen to get wrong, each as a test."""
import ipaddress
import os
import random
import re
import signal
import sys
import threading

import pytest

from harness import proxy_protocol, record, spread
from harness.http import Connection, request
from harness.wait import wait_until

EQUAL = {str(slot): 1 for slot in range(4)}


def through_header(source):
    return request(headers={"X-Forwarded-For": source})


def through_proxy_v1(source):
    return proxy_protocol.v1(source) + request()


def through_proxy_v2(source):
    return proxy_protocol.v2(source) + request()


# 1. All clients behind a proxy land on one worker.

@pytest.mark.parametrize("through,listener", [
    (through_header, {"trusted_proxies": ["127.0.0.1"]}),
    (through_proxy_v1, {"trusted_proxies": ["127.0.0.1"], "proxy_protocol": True}),
    (through_proxy_v2, {"trusted_proxies": ["127.0.0.1"], "proxy_protocol": True}),
], ids=["X-Forwarded-For", "PROXY v1", "PROXY v2"])
def test_clients_behind_a_proxy_spread(limpet, through, listener):
    front = record.start(limpet, workers=4, sticky=["ip"], listener=listener)
    sources = [f"203.0.{number // 200}.{number % 200 + 1}" for number in range(400)]
    homes = {source: record.ask(front.address, through(source))["slot"] for source in sources}
    spread.check_even(homes.values(), EQUAL)
    for source in sources[:50]:
        assert record.ask(front.address, through(source))["slot"] == homes[source]


def test_clients_behind_a_proxy_spread_by_cookie(limpet):
    front = record.start(limpet, workers=4)
    spread.check_even([record.ask(front.address, request(cookie=f"sid=s{number}"))["slot"] for number in range(400)], EQUAL)


def test_a_header_of_somebody_who_is_no_proxy_is_not_believed(limpet):
    front = record.start(limpet, workers=4, sticky=["ip"], listener={"trusted_proxies": ["127.0.0.9"]})
    assert len({record.ask(front.address, through_header(f"203.0.113.{number}"))["slot"] for number in range(30)}) == 1


# 2. IPv6 to one worker.

def test_ipv6_clients_spread(limpet):
    front = record.start(limpet, workers=4, sticky=["ip"],
                         listener={"trusted_proxies": ["127.0.0.1"], "proxy_protocol": True})
    choose = random.Random(6)
    network = int(ipaddress.ip_address("2001:db8::"))
    sources = [str(ipaddress.ip_address(network | choose.getrandbits(96))) for _ in range(800)]
    homes = [record.ask(front.address, through_proxy_v2(source))["slot"] for source in sources]
    spread.check_even(homes, EQUAL)


def test_neighbouring_ipv6_networks_spread_and_one_network_stays_together(limpet):
    front = record.start(limpet, workers=4, sticky=["ip"],
                         listener={"trusted_proxies": ["127.0.0.1"], "proxy_protocol": True})
    homes = [record.ask(front.address, through_proxy_v2(f"2001:db8:0:{number:x}::1"))["slot"] for number in range(400)]
    spread.check_even(homes, EQUAL)
    one = {record.ask(front.address, through_proxy_v2(f"2001:db8:0:1::{number:x}"))["slot"] for number in range(1, 50)}
    assert len(one) == 1


# 3. A worker's death moves everybody.

@pytest.mark.parametrize("on_down", ["hold", "next"])
def test_a_worker_s_death_moves_only_its_own_clients(limpet, on_down):
    front = record.start(limpet, workers=4, sticky=["ip"], pool={"on_down": on_down})
    sources = [f"127.0.{number // 20}.{number % 20 + 1}" for number in range(80)]
    before = {source: record.ask(front.address, source=source) for source in sources}
    lost = before[sources[0]]
    os.kill(lost["pid"], signal.SIGKILL)
    for source in sources:
        now = record.ask(front.address, source=source)
        if before[source]["slot"] != lost["slot"]:
            assert now["pid"] == before[source]["pid"]
        else:
            assert now["pid"] != lost["pid"]
    front.wait_replaced(lost["slot"], lost["pid"])
    for source in sources:
        assert record.ask(front.address, source=source)["slot"] == before[source]["slot"]


# 4. A worker that is going away crashes the front, or leaves its client hanging.

def test_workers_that_are_killed_again_and_again_harm_nobody_else(limpet):
    front = record.start(limpet, workers=3)
    router = front.router()
    choose = random.Random(4)
    for _ in range(8):
        victims = [slot for slot in record.slots(front).values() if slot["state"] == "ready"]
        clients = []
        for number in range(30):
            clients.append(Connection(front.address, timeout=30))
            clients[-1].send(request(method="POST", cookie=f"sid={number}", body=b"x" * 1000))
            if number == 15:
                os.kill(choose.choice(victims)["pid"], choose.choice([signal.SIGKILL, signal.SIGTERM]))
        for connection in clients:  # an answer or an end for each, and no waiting for ever
            try:
                connection.more()
            except ConnectionResetError:
                pass
            connection.close()
        wait_until(lambda: all(slot["state"] == "ready" for slot in record.slots(front).values()), "all are back", 30)
    assert front.router() == router
    assert record.ask(front.address, cookie="sid=good")


# 5. Heads split over two segments.

def test_heads_split_over_two_segments_at_every_place(limpet):
    front = record.start(limpet, workers=4, sticky=[{"query": "sid"}, {"cookie": "io"}])
    for data in (request("/socket.io/?EIO=4&transport=polling&sid=0123456789abcdef"), request(cookie="a=b; io=0123456789abcdef")):
        for cut in range(1, len(data)):
            told, echoed = record.echo(front.address, [data[:cut], data[cut:]])
            assert echoed == data
            assert told["key"] in ("query", "cookie")
            home = told["pid"] if cut == 1 else home
            assert told["pid"] == home


# 6. Bodies.

def test_a_large_post_arrives_whole(limpet):
    front = record.start(limpet)
    body = os.urandom(20_000_000)
    data = request(method="POST", cookie="sid=a", body=body)
    with Connection(front.address, timeout=60) as connection:
        sender = threading.Thread(target=connection.send, args=[data])
        sender.start()
        told = record.read_line(connection)
        assert connection.read_exactly(len(data)) == data
        sender.join()
    assert told["key"] == "cookie"


def test_a_slow_body_and_a_late_answer_are_the_worker_s_business(limpet):
    front = record.start(limpet, listener={"head_timeout": "200ms"})
    data = request(method="POST", cookie="sid=a", body=b"x" * 1000)
    with Connection(front.address, timeout=30) as slow:
        slow.send(data[:-500])
        told = record.read_line(slow)
        assert slow.read_exactly(len(data) - 500) == data[:-500]
        for _ in range(3):  # head_timeout passes three times, as another client sees
            with Connection(front.address) as clock:
                clock.send(data[:10])
                assert clock.response().status == 408
        slow.send(data[-500:])
        assert slow.read_exactly(500) == data[-500:]
    assert told["key"] == "cookie"


# 9. A crash on bad input.

@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded"])
def test_an_unparsable_forwarded_address_is_no_address(limpet, name):
    front = record.start(limpet, sticky=["ip"], listener={"trusted_proxies": ["127.0.0.1", "10.0.0.0/8"]})
    values = ["", ",", ",,,", "x", "unknown", "-1", "1.2.3", "1.2.3.4.5", "999.1.1.1", "1.2.3.4:99999", "[::1", "::1]", "[]", ":",
              "::ffff:1.2.3.4.5", "fe80::1%eth0", "%00", "\xff\xfe", '"', '";;', "for=", "for", "for=;for=", 'for="', "=", "=;=",
              "a" * 5000, "1" * 5000, ":" * 5000, "[" * 5000, "10.0.0.1," * 700, "'; DROP TABLE", "0x7f.1", "2130706433"]
    with record.unharmed(front, lambda: record.ask(front.address)):
        for value in values:
            data = request(headers={name: value}).decode("utf-8").encode("latin-1")
            told, echoed = record.echo(front.address, [data])
            assert echoed == data
            assert told["client"].split(":")[0] in ("127.0.0.1", "10.0.0.1"), (value, told)


# 10. Respawn storms and double respawns; no backoff; no readiness.

def test_workers_that_die_stay_as_many(limpet):
    front = record.start(limpet, workers=3)
    for round_ in range(1, 4):
        for slot in record.slots(front).values():
            os.kill(slot["pid"], signal.SIGKILL)
        wait_until(lambda: all((slot["state"], slot["restarts"]) == ("ready", round_)
                               for slot in record.slots(front).values()), "all are back", 30)
    after = record.counters(front)
    assert (after["workers_started"], after["workers_exited"]) == (12, 9)
    slots = record.slots(front)
    assert {slot["restarts"] for slot in slots.values()} == {3}
    running = {pid for pid in front.pids() if pid not in (front.process.pid, front.router())}
    assert running == {slot["pid"] for slot in slots.values()}


def test_a_worker_that_leaves_and_is_killed_is_replaced_once(limpet):
    front = record.start(limpet, workers=2)
    pid = front.wait_ready(2)["0"]
    os.kill(pid, signal.SIGTERM)
    os.kill(pid, signal.SIGKILL)
    front.wait_replaced("0", pid)
    for _ in range(20):
        front.ctl("status")
    assert record.counters(front)["workers_started"] == 3


def test_workers_that_crash_at_once_are_started_later_and_later(limpet):
    config = record.config(workers=1)
    config["pools"]["record"]["command"] = [sys.executable, "-c", "raise SystemExit(3)"]
    front = limpet(config=config)
    front.wait_for("starts again in", count=5, seconds=30)
    delays = [float(text) for text in re.findall(r"starts again in ([\d.]+) s", front.text())][:5]
    for number, delay in enumerate(delays):
        middle = 0.1 * 2 ** number
        assert 0.75 * middle - 0.05 <= delay <= 1.25 * middle + 0.05, delays
    # An instance that cannot be executed, too: nothing is forked in a circle.
    assert record.counters(front)["workers_started"] <= 6


def test_a_command_that_does_not_exist_is_tried_later_and_later(limpet):
    config = record.config(workers=2)
    config["pools"]["record"]["command"] = ["/nonexistent/worker"]
    front = limpet(config=config)
    front.wait_for("starts again in", count=6, seconds=30)
    assert "No such file or directory" in front.text()
    delays = [float(text) for text in re.findall(r"worker 0 starts again in ([\d.]+) s", front.text())]
    assert delays[0] < 0.2 < delays[2], delays


def test_no_client_reaches_a_worker_before_it_is_ready(limpet, tmp_path):
    may_start = tmp_path / "may-start"
    front = record.start(limpet, "ready-when", may_start, workers=2, ready=0)
    clients = [Connection(front.address) for _ in range(5)]
    for number, connection in enumerate(clients):
        connection.send(request(cookie=f"sid={number}"))
    for _ in range(20):
        front.ctl("status")
    assert record.counters(front)["handed_off"] == 0
    may_start.touch()
    for connection in clients:
        assert record.read_line(connection)["pool"] == "record"
        connection.close()
