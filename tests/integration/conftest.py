"""What the tests of servers have seen, for the manual's table."""
import os

import pytest

from harness import servers


@pytest.fixture(scope="session")
def servers_seen_all():
    """{name: what was seen}. With LIMPET_SERVERS=write it becomes the manual's list at the end."""
    seen = {}
    yield seen
    if seen and os.environ.get("LIMPET_SERVERS") == "write":
        servers.write_table(seen)


@pytest.fixture
def servers_seen(servers_seen_all):
    """Call it with a server whose checks have all passed."""
    def note(server):
        servers_seen_all[server.name] = servers.Seen(server, server.find_version(), bool(server.websocket))
    return note
