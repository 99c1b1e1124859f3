"""The listens that node:cluster treats differently: exclusive, UDP, an inherited fd."""
import json
import socket

from harness.http import get


def test_exclusive_listens_stay_the_workers_own(limpet, app):
    # node:cluster's disconnect leaves such servers open, and so the process alive: drain_timeout ends it.
    front = limpet(config={
        "listeners": {"web": {"address": "127.0.0.1:0", "pool": "app"}},
        "pools": {"app": {"command": app("exclusive.js"), "workers": 2, "drain_timeout": "1s", "kill_timeout": "1s"}},
    })
    front.wait_ready(2)
    ports = {}
    for number in range(20):
        answer = get(front.address, source=f"127.0.0.{number + 1}").json()
        ports[answer["pid"]] = answer["port"]
    assert len(set(ports.values())) == 2
    for pid, port in ports.items():
        assert get(("127.0.0.1", port)).json() == {"pid": pid, "server": "own"}


def test_workers_share_a_udp_socket(limpet, app, node_protocol):
    front = limpet(app("dgram.js"), protocol=node_protocol, listen="127.0.0.1:0", workers=2)
    front.wait_ready(2)
    answers = [get(front.address, source=f"127.0.0.{number + 1}").json() for number in range(20)]
    assert {answer["failure"] for answer in answers} == {None}
    ports = {answer["port"] for answer in answers}
    assert len(ports) == 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(10)
        for number in range(10):
            udp.sendto(b"%d" % number, ("127.0.0.1", min(ports)))
            answer = json.loads(udp.recv(1000))
            assert answer["echo"] == str(number)
            assert answer["pid"] in {answer["pid"] for answer in answers}


def test_listening_on_an_inherited_fd_is_an_error_that_the_application_can_handle(limpet, app, node_protocol):
    front = limpet(app("inherited-fd.js"), protocol=node_protocol, listen="127.0.0.1:0", workers=2)
    slots = front.wait_ready(2)
    answer = get(front.address).json()
    assert answer["failure"], answer
    assert answer["pid"] in slots.values()
