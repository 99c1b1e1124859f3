"""Stickiness at some scale, with workers that only record: thousands of keys, deaths, weights."""
import os
import signal

import pytest

from harness import record, spread
from harness.http import Connection, request
from harness.wait import wait_until

WORKERS = 4


def homes_of(front, keys, name="sid"):
    """{key: (slot, pid)}."""
    homes = {}
    for key in keys:
        told = record.ask(front.address, request(cookie=f"{name}={key}"))
        homes[key] = (told["slot"], told["pid"])
    return homes


def only_moved(before, after, dead, new_pid):
    """Keys of the dead worker are in its slot again, at its successor; all others are where they were."""
    for key, home in before.items():
        assert after[key] == ((home[0], new_pid) if home == dead else home), f"key {key}"


def test_ten_thousand_keys_and_a_death(limpet):
    # However long its start takes on a busy machine, clients wait for it.
    front = record.start(limpet, workers=WORKERS, pool={"hold": "60s"})
    keys = [f"user-{number}" for number in range(10_000)]
    with record.counted(front, accepted=10_000, acknowledged=10_000, refused=0, no_worker=0):
        homes = homes_of(front, keys)
    assert len(set(homes.values())) == WORKERS
    spread.check_even([slot for slot, _ in homes.values()], {str(slot): 1 for slot in range(WORKERS)})
    again = homes_of(front, keys[::10])
    assert again == {key: homes[key] for key in again}

    dead = homes[keys[0]]
    os.kill(dead[1], signal.SIGKILL)
    # At once, while the slot is empty: nobody else moves, and its own keys wait for its successor.
    during = homes_of(front, keys[:300])
    new_pid = front.wait_replaced(*dead)
    only_moved({key: homes[key] for key in during}, during, dead, new_pid)
    after = homes_of(front, keys[::5])
    only_moved({key: homes[key] for key in after}, after, dead, new_pid)
    assert record.counters(front)["no_worker"] == 0


def test_many_connections_of_one_key_at_once_reach_one_worker(limpet):
    front = record.start(limpet, workers=WORKERS)
    clients = [Connection(front.address) for _ in range(100)]
    for connection in clients:
        connection.send(request(cookie="sid=one"))
    assert len({record.read_line(connection)["pid"] for connection in clients}) == 1
    for connection in clients:
        connection.close()


def keys_of_slot(homes, slot):
    return [key for key, home in homes.items() if home[0] == slot]


@pytest.fixture
def down(limpet, tmp_path):
    """down(on_down, ...): a limpet of three workers of which slot 1 is down until may_start() is called.
    Returns it, where keys were at home, and may_start."""
    def start(**pool):
        may_start = tmp_path / "may-start"
        may_start.touch()
        front = record.start(limpet, "only-slot", 1, "ready-when", may_start, workers=3, pool=pool)
        homes = homes_of(front, range(60))
        may_start.unlink()
        os.kill(front.wait_ready(3)["1"], signal.SIGKILL)
        wait_until(lambda: record.slots(front)["1"]["state"] != "ready", "slot 1 is down")
        return front, homes, may_start.touch
    return start


def test_on_down_next_gives_its_keys_to_the_others_and_takes_them_back(down):
    front, homes, may_start = down(on_down="next")
    during = homes_of(front, homes)
    others = {key: home for key, home in homes.items() if home[0] != "1"}
    assert {key: during[key] for key in others} == others
    assert {during[key][0] for key in keys_of_slot(homes, "1")} == {"0", "2"}
    may_start()
    wait_until(lambda: record.slots(front)["1"]["state"] == "ready", "slot 1 is back")
    new_pid = record.slots(front)["1"]["pid"]
    only_moved(homes, homes_of(front, homes), homes[keys_of_slot(homes, "1")[0]], new_pid)


def test_on_down_hold_keeps_clients_until_the_worker_is_back(down):
    front, homes, may_start = down(on_down="hold", hold="10m")
    keys = keys_of_slot(homes, "1")[:5]
    waiting = [Connection(front.address, timeout=30) for _ in keys]
    with record.counted(front, held=len(keys)):
        for key, connection in zip(keys, waiting):
            connection.send(request(cookie=f"sid={key}"))
    assert record.slots(front)["1"]["waiting"] == len(keys)
    # Others do not wait with them.
    key = keys_of_slot(homes, "2")[0]
    assert homes_of(front, [key])[key] == homes[key]
    may_start()
    for connection in waiting:
        assert record.read_line(connection)["slot"] == "1"
        connection.close()
    assert record.slots(front)["1"]["waiting"] == 0


def test_on_down_hold_goes_to_the_next_choice_when_it_took_too_long(down):
    front, homes, _ = down(on_down="hold", hold="200ms")
    with record.counted(front, no_worker=0, hold_expired=0):
        during = homes_of(front, keys_of_slot(homes, "1"))
    assert {slot for slot, _ in during.values()} == {"0", "2"}


def test_on_down_reject_answers_503_to_its_keys_only(down):
    front, homes, may_start = down(on_down="reject")
    mine, other = keys_of_slot(homes, "1")[0], keys_of_slot(homes, "0")[0]
    with record.counted(front, no_worker=1):
        with Connection(front.address) as connection:
            connection.send(request(cookie=f"sid={mine}"))
            assert connection.response().status == 503
    assert homes_of(front, [other])[other] == homes[other]
    may_start()
    wait_until(lambda: record.slots(front)["1"]["state"] == "ready", "slot 1 is back")
    assert homes_of(front, [mine])[mine][0] == "1"


def test_weights_are_shares(limpet):
    front = record.start(limpet, workers=4, pool={"weights": {"0": 0, "1": 1, "2": 2, "3": 5}})
    homes = homes_of(front, range(2000))
    spread.check_even([slot for slot, _ in homes.values()], {"0": 0, "1": 1, "2": 2, "3": 5})


def test_a_key_in_any_source_is_the_same_client(limpet):
    front = record.start(limpet, workers=WORKERS, sticky=[{"cookie": "sid"}, {"query": "sid"}, {"header": "x-sid"}, {"path": 2}])
    for number in range(50):
        value = f"v{number}"
        told = [record.ask(front.address, data) for data in (
            request(cookie=f"a=b; sid={value}"), request(f"/x?y=1&sid={value}"), request(headers={"X-Sid": value}),
            request(f"/rooms/{value}/x"), request("/x", cookie="sid=", headers={"X-SID": value}))]
        assert [line["key"] for line in told] == ["cookie", "query", "header", "path", "header"]
        assert len({line["pid"] for line in told}) == 1


def test_refused_connections_go_to_the_next_choice_whole(limpet):
    front = record.start(limpet, "only-slot", 0, "refuse", workers=3)
    body = os.urandom(50_000)
    with record.unharmed(front):
        for number in range(60):
            data = request(method="POST", cookie=f"sid={number}", body=body)
            told, echoed = record.echo(front.address, [data])
            assert told["slot"] in ("1", "2")
            assert echoed == data
    after = record.counters(front)
    assert after["refused"] == after["redispatched"] > 5


def test_a_connection_that_everybody_refuses_gets_503(limpet):
    """Eight are asked; then the first is waited for as long as for one that is down, and eight are asked once more."""
    front = record.start(limpet, "refuse", workers=10, pool={"hold": "100ms"})
    for number in range(5):
        with record.counted(front, hold_expired=1, no_worker=0, refused=16, handed_off=16, acknowledged=0):
            with Connection(front.address) as connection:
                connection.send(request(cookie=f"sid={number}"))
                assert connection.response().status == 503


def test_what_a_worker_did_not_acknowledge_goes_to_another_whole_when_it_dies(limpet):
    front = record.start(limpet, "only-slot", 0, "silent", workers=2, pool={"on_down": "next", "stuck_timeout": "10m"})
    body = os.urandom(10_000)
    clients, sent = [], []
    for number in range(40):
        sent.append(request(method="POST", cookie=f"sid={number}", body=body))
        clients.append(Connection(front.address))
        clients[-1].send(sent[-1])
    wait_until(lambda: record.counters(front)["handed_off"] == 40, "all are handed off")
    lost = record.slots(front)["0"]
    assert 0 < lost["unacknowledged"] < 40
    os.kill(lost["pid"], signal.SIGKILL)
    for connection, data in zip(clients, sent):
        assert record.read_line(connection)["slot"] == "1"
        assert connection.read_exactly(len(data)) == data
        connection.close()
    assert record.counters(front)["redispatched"] == lost["unacknowledged"]


def test_a_stuck_worker_s_clients_go_to_the_next_choice_until_it_answers(limpet):
    front = record.start(limpet, workers=2, pool={"window": 4, "stuck_timeout": "300ms"})
    homes = homes_of(front, range(40))
    slot, pid = homes[0]
    router = front.router()
    keys = keys_of_slot(homes, slot)
    other = next(home for home in homes.values() if home[0] != slot)
    os.kill(pid, signal.SIGSTOP)
    waiting = [Connection(front.address, timeout=30) for _ in range(10)]
    for connection in waiting:
        connection.send(request(cookie=f"sid={keys[0]}"))
    wait_until(lambda: record.counters(front)["workers_stuck"] == 1, "it is found stuck")
    # The window was sent to it and is its own; the rest, and new ones, go to the other.
    for connection in waiting[4:]:
        assert record.read_line(connection)["pid"] == other[1]
    assert homes_of(front, keys[:3]) == {key: other for key in keys[:3]}
    os.kill(pid, signal.SIGCONT)
    for connection in waiting[:4]:
        assert record.read_line(connection)["pid"] == pid
    for connection in waiting:
        connection.close()
    front.wait_for("answers again")
    assert homes_of(front, homes) == homes
    assert front.router() == router
