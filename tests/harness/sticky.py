"""What every way of being sticky must hold to."""
import os
import signal

from harness.http import get


def by_address(limpet, path="/", **options):
    """A question that a client with this number asks from an address of its own."""
    address = limpet.address
    return lambda number: get(address, path, source=f"127.0.{number // 200}.{number % 200 + 1}", **options).json()


def by_cookie(limpet, name, path="/"):
    address = limpet.address
    return lambda number: get(address, path, cookie=f"theme=dark; {name}=visitor-{number}").json()


def by_header(limpet, name, path="/"):
    address = limpet.address
    return lambda number: get(address, path, headers={name: f"tenant-{number}"}).json()


def by_query(limpet, name):
    address = limpet.address
    return lambda number: get(address, f"/?x=1&{name}=q{number}&y=2").json()


def by_path(limpet, segment):
    address = limpet.address
    before = "".join(f"/part{i}" for i in range(1, segment))
    return lambda number: get(address, f"{before}/room-{number}/end").json()


def homes_of(ask, keys):
    """{key: (slot, pid)}; each key is asked three times, in two rounds, and must get the same answer."""
    homes = {}
    for key in [*keys, *keys, *keys]:
        answer = ask(key)
        home = (answer["slot"], answer["pid"])
        assert homes.setdefault(key, home) == home, f"key {key} moved from {homes[key]} to {home}"
    return homes


def check_sticky(limpet, ask, workers, keys=60):
    """One key reaches one process; keys spread over all workers; the death of one worker moves only its own keys, and they
    come back to their slot."""
    limpet.wait_ready(workers)
    homes = homes_of(ask, range(keys))
    assert len(set(homes.values())) == workers, homes
    assert len({slot for slot, _ in homes.values()}) == workers, homes

    slot, pid = homes[0]
    os.kill(pid, signal.SIGKILL)
    new_pid = limpet.wait_replaced(slot, pid)
    after = homes_of(ask, range(keys))
    for key, home in homes.items():
        assert after[key] == ((slot, new_pid) if home == (slot, pid) else home), f"key {key}: {home} -> {after[key]}"
    return after
