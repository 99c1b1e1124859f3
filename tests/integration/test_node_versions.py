"""An unmodified http and ws server on every supported Node.js."""
import pytest

from harness import sticky
from harness.http import Connection


@pytest.mark.parametrize("protocol, connections", [(None, "accept"), ("node-cluster:accept", "accept"),
                                                   ("node-cluster:message", "message")])
@pytest.mark.parametrize("version", [18, 20, 22, 24, 26])
def test_http_and_ws(limpet, app, version, protocol, connections):
    front = limpet(app("http-ws.js", node=version), workers=2, protocol=protocol, env={"HOST": "127.0.0.1"})
    front.wait_ready(2)
    assert [slot["connections"] for slot in front.status()["pools"]["default"]["slots"]] == [connections] * 2
    ask = sticky.by_address(front)
    assert ask(0)["node"].startswith(f"v{version}.")
    homes = sticky.check_sticky(front, ask, 2, keys=30)

    # Many WebSockets at once, each with its home worker, also for a large message.
    connections = []
    for number in range(30):
        connection = Connection(front.address, source=f"127.0.0.{number + 1}")
        connections.append(connection)
        assert connection.upgrade("/chat").status == 101
    for text in ("hello", "x" * 50_000):
        for number, connection in enumerate(connections):
            answer = connection.say(text)
            assert (answer["slot"], answer["pid"]) == homes[number]
            assert (answer["echo"], answer["url"]) == (text, "/chat")
    for connection in connections:
        connection.close()
