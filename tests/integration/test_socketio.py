"""socket.io clients: long polling, WebSocket, and the upgrade between them, in front of plain and of sticky workers."""
import pytest

SERVERS = {
    "socket.io": dict(name="socketio.js"),
    "@socket.io/sticky 1": dict(name="socketio-sticky.js", protocol="node-ipc:socket.io", env={"STICKY": "sticky1"}),
    "@socket.io/sticky 2": dict(name="socketio-sticky.js", protocol="node-ipc:socket.io", env={"STICKY": "sticky2"}),
}


@pytest.mark.parametrize("transports", ["polling", "websocket", "polling,websocket"])
@pytest.mark.parametrize("server", SERVERS)
def test_all_requests_of_a_client_reach_one_worker(limpet, app, client, server, transports):
    options = dict(SERVERS[server])
    front = limpet(app(options.pop("name")), listen="127.0.0.1:0", sticky="query:room", workers=2, **options)
    front.wait_ready(2)
    url = f"http://127.0.0.1:{front.port}"
    seen = set()
    for number in range(40):
        if number >= 8 and len(seen) == 2:
            break  # as a rule; by chance more rooms than eight have the same home
        room = f"room-{number}"
        result = client("socketio.js", url, room, transports, 5)
        pids = {answer["pid"] for answer in result["answers"]}
        assert len(pids) == 1
        assert {answer["room"] for answer in result["answers"]} == {room}
        assert result["whole"] and result["transport"] == transports.split(",")[-1]
        seen |= pids
    assert len(seen) == 2
    assert "Session ID unknown" not in front.text()
