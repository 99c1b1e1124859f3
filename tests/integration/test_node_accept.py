"""How Node.js servers get their connections: what decides, and where one way differs from the other."""
import os
import signal

import pytest

from harness import proxy_protocol
from harness.http import Connection, get, request
from harness.wait import wait_until


def ways(front, pool="default"):
    return [slot.get("connections") for slot in front.status()["pools"][pool]["slots"]]


@pytest.mark.parametrize("how", ["taken out", "not there"])
def test_without_the_library_connections_come_in_messages(limpet, app, how):
    """As where node is linked statically: nothing of it is in the process."""
    drop = ["env", "-u", "LD_PRELOAD"] if how == "taken out" else ["env", "LD_PRELOAD=/nonexistent/library.so"]
    front = limpet([*drop, *app("http-ws.js")], protocol="node-cluster", listen="127.0.0.1:0", workers=2)
    front.wait_ready(2)
    assert ways(front) == ["message", "message"]
    assert get(front.address).status == 200
    front.wait_for("gets its connections in messages, not through accept")
    assert front.text().count("gets its connections in messages") == 1


def test_messages_that_were_asked_for_are_not_reported(limpet, app):
    front = limpet(app("http-ws.js"), protocol="node-cluster:message", listen="127.0.0.1:0", workers=1)
    front.wait_ready(1)
    assert ways(front) == ["message"]
    assert "in messages" not in front.text()
    assert "liblimpet-accept" not in open(f"/proc/{front.ready()[0].pid}/maps", encoding="utf-8").read()


def test_what_is_preloaded_already_stays(limpet, app):
    library = "libm.so.6"
    front = limpet(config={"listeners": {"web": {"address": "127.0.0.1:0"}},
                           "pools": {"app": {"command": app("http-ws.js"), "workers": 1, "environment": {"LD_PRELOAD": library}}}})
    front.wait_ready(1)
    assert ways(front, "app") == ["accept"]
    environment = open(f"/proc/{front.ready()[0].pid}/environ", "rb").read().decode()
    assert f"LD_PRELOAD={library}:" in environment


def test_a_reload_changes_the_way(limpet, app):
    def config(connections):
        return {"listeners": {"web": {"address": "127.0.0.1:0"}},
                "pools": {"app": {"command": app("http-ws.js"), "workers": 2, "connections": connections}}}

    front = limpet(config=config("message"))
    front.wait_ready(2)
    for wanted in ("accept", "message"):
        mark = front.mark_log()
        front.write_config(config(wanted))
        front.send_signal(signal.SIGHUP)
        front.wait_for("all workers are of the new generation", after=mark)
        wait_until(lambda: ways(front, "app") == [wanted, wanted], f"connections: {wanted}")  # noqa: B023
        assert get(front.address).status == 200


@pytest.mark.parametrize("connections, peer", [("accept", "203.0.113.9"), ("message", "127.0.0.1")])
def test_the_client_behind_a_proxy(limpet, app, connections, peer):
    front = limpet(config={
        "listeners": {"web": {"address": "127.0.0.1:0", "proxy_protocol": True, "trusted_proxies": ["127.0.0.0/8"]}},
        "pools": {"app": {"command": app("http-ws.js"), "workers": 1, "connections": connections,
                          "environment": {"HOST": "127.0.0.1"}}}})
    front.wait_ready(1)
    with Connection(front.address) as connection:
        connection.send(proxy_protocol.v1("203.0.113.9") + request("/"))
        assert connection.response().json()["peer"] == peer


def test_a_router_that_dies_while_a_worker_starts(limpet, app):
    """What it knew of the worker is lost: the worker is started again, and is as it should be."""
    front = limpet(app("slow-start.js"), listen="127.0.0.1:0", workers=2)
    front.wait_for("started", count=2)
    for _ in range(2):
        old = front.router()
        os.kill(old, signal.SIGKILL)
        wait_until(lambda: front.router() != old, "another router")  # noqa: B023
    front.wait_ready(2)
    wait_until(lambda: ways(front) == ["accept", "accept"], "both through accept()")
    assert get(front.address).status == 200
