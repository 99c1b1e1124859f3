"""What the tests of servers have seen, for the manual's list."""
import os

import pytest

from harness import servers


@pytest.fixture(scope="session")
def servers_tried():
    """{name: did it pass?}. With LIMPET_SERVERS=write the manual's list is made of it at the end."""
    tried = {}
    yield tried
    if os.environ.get("LIMPET_SERVERS") == "write":
        servers.write_table(tried)
