"""An application that uses process.send() for itself, also with messages that look like node:cluster's."""
import os

from harness import sticky
from harness.http import get


def test_messages_of_the_application_disturb_nothing(limpet, app, node_protocol):
    front = limpet(app("chatty.js"), protocol=node_protocol, listen="127.0.0.1:0", workers=2)
    slots = front.wait_ready(2)
    homes = sticky.homes_of(sticky.by_address(front), range(20))
    assert set(homes.values()) == {(slot, pid) for slot, pid in slots.items()}
    supervisor = front.process.pid
    before = front.open_files(supervisor)
    for number in range(60):
        answer = get(front.address, "/chat", source=f"127.0.0.{number % 20 + 1}").json()
        assert (answer["slot"], answer["pid"]) == homes[number % 20]
        assert answer["failed"] == 0 and answer["received"] == []
    # All handles that it sent were acknowledged, or it could send no more.
    assert get(front.address).json()["sent"] > 60
    assert front.open_files(supervisor) == before
    assert all(os.path.exists(f"/proc/{pid}") for pid in slots.values())
