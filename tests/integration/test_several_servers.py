"""An application with more than one server: each connection reaches the server that it was made to."""
import os
import re
import shutil

import pytest

from harness.http import get


def addresses_of(front, names):
    """What each worker's server says of its own address: all workers share them."""
    addresses = {}
    for name in names:
        found = front.wait_for(rf"several-servers: {name} (\S+)", count=2)[1]
        first = front.wait_for(rf"several-servers: {name} (\S+)")[1]
        assert found == first, f"{name}: the workers have different addresses"
        addresses[name] = found if found.startswith("/") else ("127.0.0.1", int(found))
    return addresses


def test_two_ports_families_and_a_path(limpet, app, tmp_path, node_protocol):
    names = ["first", "second", "all4", "all6", "path"]
    front = limpet(app("several-servers.js"), protocol=node_protocol, workers=2, env={"SOCKET": str(tmp_path / "web.sock")})
    front.wait_ready(2)
    addresses = addresses_of(front, names)
    ports = [address[1] for name, address in addresses.items() if name != "path"]
    assert len(set(ports)) == len(ports)
    for name in names:
        assert get(addresses[name]).json()["server"] == name
    assert get(("::1", addresses["all6"][1])).json()["server"] == "all6"

    homes = {}
    for number in range(20):
        for name in ("first", "second", "all4", "all6"):
            answer = get(addresses[name], source=f"127.0.0.{number + 1}").json()
            assert answer["server"] == name
            # One client, one worker, whatever port it came to.
            assert homes.setdefault(number, answer["pid"]) == answer["pid"]
    assert len(set(homes.values())) == 2


def test_a_listener_hands_to_the_server_on_its_port_else_to_the_first(limpet, app):
    front = limpet(app("several-servers.js"), workers=2, env={"NAMES": "first,second"}, listen="127.0.0.1:0")
    front.wait_ready(2)
    assert get(front.address).json()["server"] == "first"


def test_addresses_are_logged(limpet, app):
    front = limpet(app("several-servers.js"), workers=2, env={"NAMES": "first,second"})
    front.wait_ready(2)
    addresses = addresses_of(front, ["first", "second"])
    for host, port in addresses.values():
        front.wait_for(rf"listening on {re.escape(host)}:{port} \(pool default\)")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has other users' rights")
def test_a_path_is_made_with_the_workers_rights(limpet, app, tmp_path):
    """A pool with a user: the supervisor, though root, makes no socket where that user could not."""
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    shutil.chown(theirs, "nobody")
    (tmp_path / "roots").mkdir()
    (theirs / "server.js").write_text(SERVER, encoding="utf-8")

    def start(path):
        pool = {"command": ["node", str(theirs / "server.js")], "workers": 1, "user": "nobody",
                "directory": "/", "environment": {"SOCKET": str(path)}}
        return limpet(config={"pools": {"app": pool}})
    front = start(theirs / "web.sock")
    front.wait_ready(1)
    assert get(theirs / "web.sock").status == 200
    assert (theirs / "web.sock").owner() == "nobody"
    front.stop()
    assert not (theirs / "web.sock").exists()

    front = start(tmp_path / "roots" / "web.sock")
    front.wait_for(r"cannot listen on unix:.*/roots/web.sock: Permission denied")
    assert not (tmp_path / "roots" / "web.sock").exists()


SERVER = "require('http').createServer((q, r) => r.end('{}')).listen(process.env.SOCKET)"
