"""The messages of protocol limpet, as bytes; limpet-worker(7) specifies them. Owns no socket."""
import dataclasses
import json
from typing import Any, Dict, List, Mapping, Optional, Tuple, Union

MAXIMUM = 8192
"""Bytes of the longest datagram, in both directions."""

ID_MAXIMUM = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class Details:
    """What limpet says of a connection.

    id        the number to answer with
    listener  the listener's name, or ""
    client    the client address, as a trusted proxy said it if there is one: 203.0.113.9:51123, [2001:db8::1]:51123,
              unix:NAME, or "". It need not be what getpeername() says.
    key       the source of the sticky key: ip, cookie, header, query or path
    """

    id: int
    listener: str
    client: str
    key: str

    @property
    def address(self) -> Any:
        """The client address as socket.accept() gives it: (host, port), (host, port, 0, 0), or a path."""
        return address(self.client)


@dataclasses.dataclass(frozen=True)
class Drain:
    """No further connection comes."""


@dataclasses.dataclass(frozen=True)
class Ping:
    id: int


@dataclasses.dataclass(frozen=True)
class Welcome:
    """Joined; slot is the one that this process has."""

    pool: str
    slot: Optional[str]


@dataclasses.dataclass(frozen=True)
class Bye:
    """limpet ends the channel, and says why."""

    reason: str


Member = Union[int, str, List[str], Dict[str, float], None]

Message = Union[Details, Drain, Ping, Welcome, Bye]


def address(text: str) -> Any:
    if text.startswith("unix:"):
        return text[5:]
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit() and len(port) <= 5):
        return ""
    if host.startswith("["):
        return (host.strip("[]"), int(port), 0, 0)
    return (host, int(port))


def number(message: Mapping[str, Any]) -> Optional[int]:
    value = message.get("id")
    # True is an int, too.
    if type(value) is not int or not 0 <= value <= ID_MAXIMUM:
        return None
    return value


def text(message: Mapping[str, Any], name: str) -> str:
    value = message.get(name)
    return value if isinstance(value, str) else ""


def parse(data: bytes) -> Optional[Message]:
    """None: to be skipped, because it is malformed or of a type that this version does not know."""
    try:
        message = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict):
        return None
    kind = message.get("type")
    if kind == "connection":
        found = number(message)
        if found is None:
            return None
        return Details(found, text(message, "listener"), text(message, "client"), text(message, "key"))
    if kind == "drain":
        return Drain()
    if kind == "ping":
        found = number(message)
        return None if found is None else Ping(found)
    if kind == "welcome":
        return Welcome(text(message, "pool"), text(message, "slot") or None)
    if kind == "bye":
        return Bye(text(message, "reason"))
    return None


def build(kind: str, **members: Member) -> bytes:
    """Members that are None are left out. ValueError: it is too long for the channel."""
    pairs: List[Tuple[str, object]] = [(name, value) for name, value in members.items() if value is not None]
    data = json.dumps(dict([("type", kind), *pairs]), separators=(",", ":")).encode()
    if len(data) > MAXIMUM:
        raise ValueError(f"a message of {len(data)} bytes: limpet takes {MAXIMUM}")
    return data
