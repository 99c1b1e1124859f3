"""Servers that close while limpet has connections for them."""
from harness.http import get
from harness.wait import wait_until


def test_close_and_listen_again(limpet, app, node_protocol):
    front = limpet(app("close-and-listen.js"), protocol=node_protocol, listen="127.0.0.1:0", workers=2)
    slots = front.wait_ready(2)
    opened = {}
    for number in range(40):
        response = get(front.address, "/again", source=f"127.0.0.{number % 20 + 1}")
        assert response.status == 200, (number, response.body, front.status())
        answer = response.json()
        assert answer["pid"] in slots.values()
        opened[answer["pid"]] = answer["opened"]
    assert min(opened.values()) > 1, opened
    assert set(front.pids()) >= set(slots.values()), "no worker was restarted"


def test_clients_of_a_closed_server_go_to_another_worker(limpet, app, node_protocol):
    front = limpet(app("close-and-listen.js"), protocol=node_protocol, listen="127.0.0.1:0", workers=2)
    slots = front.wait_ready(2)
    closing = get(front.address, "/close", source="127.0.0.1").json()["pid"]
    other = next(pid for pid in slots.values() if pid != closing)

    def moved():
        # Its process ends with its last server and is then replaced: either is a fine home, no answer is not.
        return get(front.address, source="127.0.0.1").json()["pid"] != closing
    wait_until(moved, "an answer from another process")
    assert other in front.pids()
    for number in range(20):
        assert get(front.address, source=f"127.0.0.{number + 1}").json()["pid"] != closing
