"""limpet --demo."""
import pytest

from harness import paths
from harness.http import Connection, get

pytestmark = pytest.mark.skipif(not paths.demo_worker().exists(), reason="built without the demo")


def start(limpet):
    front = limpet(arguments=["--demo", "-l", "127.0.0.1:0"])
    url = front.wait_for(r"limpet demo: http://(\S+?):(\d+)/")
    front.wait_ready(4)
    return front, (url[1], int(url[2]))


def test_sticky_by_cookie_then_by_address(limpet):
    _, address = start(limpet)
    homes = {}
    for number in [*range(60)] * 2:
        status = get(address, "/status.json", cookie=f"demo=visitor{number}").json()
        assert status["key"] == "cookie"
        assert homes.setdefault(number, status["pid"]) == status["pid"]
    assert len(set(homes.values())) == 4
    assert get(address, "/status.json").json()["key"] == "ip"


def test_a_client_that_changes_its_cookie_ends_where_the_new_cookie_belongs(limpet):
    _, address = start(limpet)
    for number in range(10):
        with Connection(address) as connection:
            assert connection.get("/", cookie="demo=first").status == 200
            assert connection.get("/", cookie=f"demo=next{number}").status == 307
            assert connection.ended()


def test_websocket(limpet):
    _, address = start(limpet)
    for number in range(10):
        cookie = f"demo=visitor{number}"
        home = get(address, "/status.json", cookie=cookie).json()
        with Connection(address) as connection:
            assert connection.upgrade("/ws", cookie=cookie).status == 101
            answer = connection.say("hello")
            assert (answer["slot"], answer["pid"], answer["echo"]) == (home["slot"], home["pid"], "hello")
