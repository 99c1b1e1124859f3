"""What the router costs: it wakes up when there is something for it to do, and never for a client that was handed off."""
from harness import record
from harness.http import Connection, request
from harness.wait import wait_until

# A timer of the start may run out meanwhile, once: it has nothing to do with the clients.
TIMERS = 1


def wakeups(front):
    return record.counters(front)["wakeups"]


def settled(front):
    """The count once nothing is on its way any more (acknowledgements of before)."""
    record.check_idle(front)
    return wakeups(front)


def test_a_head_byte_by_byte_costs_at_most_a_wakeup_a_byte(limpet):
    front = record.start(limpet, listener={"head_timeout": "1m"})
    head = request("/?a=1", cookie="sid=slow", headers={"X-Long": "y" * 340})
    assert len(head) > 390
    before = settled(front)
    with Connection(front.address) as connection:
        for byte in head:
            connection.send(bytes([byte]))
        told = record.read_line(connection)
        assert connection.read_exactly(len(head)) == head
        assert told["key"] == "cookie"
        # Accept, acknowledgement and the head's timer on top.
        assert settled(front) - before <= len(head) + 10


def test_an_idle_partial_head_costs_nothing(limpet):
    front = record.start(limpet, listener={"head_timeout": "1m"})
    before = settled(front)
    clients = [Connection(front.address) for _ in range(20)]
    for number, connection in enumerate(clients):
        connection.send(request(cookie="sid=x")[:3 + number])
    wait_until(lambda: record.counters(front)["accepted"] == 20, "they are accepted")
    during = settled(front)
    assert during - before <= 50
    for _ in range(50):
        front.ctl("status")
    assert wakeups(front) - during <= TIMERS
    for connection in clients:
        connection.close()


def test_a_client_that_was_handed_off_costs_nothing(limpet):
    front = record.start(limpet, workers=2)
    with Connection(front.address) as connection:
        connection.send(request(cookie="sid=x"))
        record.read_line(connection)
        connection.read_exactly(len(request(cookie="sid=x")))
        before = settled(front)
        for number in range(1000):
            message = b"message %d\n" % number
            connection.send(message)
            assert connection.read_exactly(len(message)) == message
        assert wakeups(front) - before <= TIMERS


def test_a_pinned_websocket_costs_nothing(limpet, app):
    front = limpet(app("http-ws.js"), listen="127.0.0.1:0", sticky="cookie:sid", workers=2)
    front.wait_ready(2)
    with Connection(front.address) as connection:
        assert connection.upgrade(cookie="sid=x").status == 101
        connection.say("first")
        before = settled(front)
        for number in range(1000):
            assert connection.say(f"message {number}")["echo"] == f"message {number}"
        assert wakeups(front) - before <= TIMERS


def test_a_thousand_connections_cost_a_few_wakeups_each(limpet):
    front = record.start(limpet, workers=2)
    before = settled(front)
    for number in range(1000):
        record.ask(front.address, request(cookie=f"sid={number}"))
    # Accept and peek, the acknowledgement, and no more.
    assert settled(front) - before <= 2 * 1000 + 50


def test_a_refused_client_that_stays_costs_nothing_once_it_was_answered(limpet):
    front = record.start(limpet)
    with record.unharmed(front):
        clients = [Connection(front.address) for _ in range(10)]
        for connection in clients:
            connection.send(b"not http\r\n\r\n")
            assert connection.response().status == 400
        record.check_idle(front)
        for connection in clients:
            connection.close()
