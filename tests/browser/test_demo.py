"""limpet --demo in Chromium."""
import json
import subprocess

import pytest

from harness import paths

pytestmark = pytest.mark.skipif(not paths.demo_worker().exists(), reason="built without the demo")


@pytest.fixture
def browse(limpet, tmp_path):
    front = limpet(arguments=["--demo", "-l", "127.0.0.1:0"])
    url = front.wait_for(r"limpet demo: (http://\S+)")[1]
    front.wait_ready(4)

    def run(task):
        done = subprocess.run(["node", paths.TESTS / "browser" / "demo.js", task, url, tmp_path / "profile",
                               paths.build()], capture_output=True, text=True, timeout=110, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1])
    return run


def test_the_same_slot_over_20_reloads_and_in_the_websocket(browse):
    for visit in (result := browse("reload"))["visits"]:
        assert (visit["slot"], visit["pid"]) == (result["visits"][0]["slot"], result["visits"][0]["pid"])
        assert visit["socketSlot"] == visit["slot"] and visit["echo"].endswith("over the WebSocket")
    assert len(result["visits"]) == 21 and result["listed"] == 20
    assert result["key"] == "the cookie" and not result["errors"]


def test_other_visitors_get_other_slots(browse):
    result = browse("another")
    assert {visit["slot"] for visit in result["visits"]} == {"0", "1", "2", "3"}
    assert all(visit["socketSlot"] == visit["slot"] for visit in result["visits"])
    assert not result["errors"]


def test_the_page_fits_a_small_screen(browse):
    result = browse("small")
    assert result["scrollWidth"] <= result["width"]
