"""Workers that were written for another sticky module's primary."""
import pytest

from harness import sticky
from harness.http import get

MODULES = {
    "sticky-session": ("sticky-session.js", "node-ipc:sticky-session"),
    "sticky-cluster": ("sticky-cluster.js", "node-ipc:sticky-cluster"),
    "recipe": ("sticky-recipe.js", "node-ipc:sticky-session:connection"),
}


@pytest.mark.parametrize("source", ["ip", "cookie:sid"])
@pytest.mark.parametrize("module", MODULES)
def test_worker_of_a_sticky_module(limpet, app, module, source):
    name, protocol = MODULES[module]
    front = limpet(app(name), listen="127.0.0.1:0", sticky=source, workers=2, protocol=protocol)
    front.wait_ready(2)
    ask = sticky.by_address(front) if source == "ip" else sticky.by_cookie(front, "sid")
    sticky.check_sticky(front, ask, 2, keys=30)
    answer = get(front.address, method="POST", cookie="sid=a", body=b"x" * 300_000, timeout=30).json()
    assert answer["bytes"] == 300_000


def test_an_application_with_a_cluster_primary_of_its_own_runs_its_worker_branch(limpet, app):
    front = limpet(app("own-cluster.js"), workers=2, env={"HOST": "127.0.0.1"})
    front.wait_ready(2)
    sticky.check_sticky(front, sticky.by_address(front), 2, keys=30)
    assert "this is the primary" not in front.text()
