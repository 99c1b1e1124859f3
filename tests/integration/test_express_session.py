"""Express with its sessions in memory: only the worker that made a session has it."""
import pytest

from harness.http import get


def visit(address, jar, source, extra=None):
    cookies = "; ".join(filter(None, [extra, *(f"{name}={value}" for name, value in jar.items())]))
    response = get(address, source=source, cookie=cookies or None)
    for value in [response.headers["set-cookie"]] if "set-cookie" in response.headers else []:
        name, value = value.split(";")[0].split("=", 1)
        jar[name] = value
    return response.json()


@pytest.mark.parametrize("source,extra", [("ip", None), ("cookie:device", "device=d{}")], ids=["ip", "cookie"])
def test_every_visitor_keeps_its_session(limpet, app, source, extra):
    front = limpet(app("express-session.js"), listen="127.0.0.1:0", sticky=source, workers=3)
    front.wait_ready(3)
    pids = set()
    for number in range(24):
        jar = {}
        for visits in range(1, 6):
            answer = visit(front.address, jar, f"127.0.0.{number + 1}", extra and extra.format(number))
            assert answer["views"] == visits
            pids.add(answer["pid"])
    assert len(pids) == 3
