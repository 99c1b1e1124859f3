"""A worker's end of the channel to limpet: one JSON object a datagram, a client's socket attached.

Nothing here waits, and nothing is thread-safe: listener.py and asyncio.py do the waiting. What cannot be sent at once is
kept, and the caller reads nothing until it is out; so what is kept has a bound.
"""
import array
import collections
import contextlib
import enum
import math
import os
import random
import re
import socket
import stat
from typing import Deque, Iterator, List, Mapping, Optional, Set, Tuple, Union

from . import messages
from .connection import Connection
from .errors import ChannelEnded, NoLimpet, Refused

RETRY_FIRST = 0.1
RETRY_LAST = 30.0
"""Seconds between attempts to join again."""

WELCOME_WITHIN = 10.0
"""Seconds that limpet may take to answer a hello."""

STAT_NAME = re.compile("[a-z0-9_]{1,32}")

# MSG_DONTWAIT, not O_NONBLOCK: that would change it for every process that shares the channel.
NOW = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL


ROOM_FOR_ONE = socket.CMSG_LEN(4)


def descriptors(control: List[Tuple[int, int, bytes]]) -> "array.array[int]":
    # socket.recv_fds() does this, too, but passes no flags on to recvmsg().
    found = array.array("i")
    for level, kind, data in control:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[:len(data) - len(data) % found.itemsize])
    return found


class Seen(enum.Enum):
    """What receive() has seen, if no connection."""

    NOTHING = "nothing is there now"
    HANDLED = "a message that was answered or skipped"
    DRAIN = "no further connection comes"


class Channel:
    """Owns its socket.

    skipped    messages that were malformed or unknown
    refused    connections that came without their socket
    """

    def __init__(self, channel: socket.socket) -> None:
        self.socket = channel
        if channel.gettimeout():
            channel.settimeout(None)  # socket.setdefaulttimeout(): "now" would be after that time
        self.skipped = 0
        self.refused = 0
        self._output: Deque[bytes] = collections.deque()
        self._closed = 0

    def fileno(self) -> int:
        return self.socket.fileno()

    def close(self) -> None:
        self.socket.close()

    # What the worker says.

    def say(self, kind: str, **members: messages.Member) -> bool:
        """False: it could not be sent yet; flush() when the channel is writable. ChannelEnded: nobody is there."""
        self._output.append(messages.build(kind, **members))
        return self.flush()

    def count_closed(self) -> bool:
        """A connection has ended. False as say() has it."""
        self._closed += 1
        return self.flush()

    def tell(self, values: Mapping[str, float]) -> None:
        """Numbers for limpetctl status. They are dropped if they cannot be sent now; any thread may call it."""
        for name, value in values.items():
            if not STAT_NAME.fullmatch(name) or not math.isfinite(value):
                raise ValueError(f"{name}={value!r}: a name has up to 32 of a-z, 0-9 and _, and the value is a finite number")
        if not values:
            return
        try:
            self.socket.send(messages.build("stats", values=dict(values)), NOW)
        except OSError:
            pass

    def flush(self) -> bool:
        """Sends what waits; False if some still does."""
        try:
            while self._output:
                self.socket.send(self._output[0], NOW)
                self._output.popleft()
            # However many they are, they need one message.
            if self._closed:
                self.socket.send(messages.build("closed", count=self._closed), NOW)
                self._closed = 0
        except BlockingIOError:
            return False
        except OSError as error:
            raise ChannelEnded(f"limpet's end of the channel is closed: {error.strerror}") from error
        return True

    def acknowledge(self, connection: Connection) -> bool:
        """Before the first byte is read. False as say() has it: it may not be read yet."""
        return self.say("ack", id=connection.limpet.id)

    def refuse(self, connection: Connection) -> bool:
        """Another worker gets it; closes this one's copy."""
        number = connection.limpet.id
        connection.close()
        return self.say("refuse", id=number)

    # What limpet says.

    def receive(self) -> Union[Connection, messages.Welcome, Seen]:
        """Reads at most one datagram. A connection is the caller's, to acknowledge or refuse. ChannelEnded: limpet is
        gone, or has said why it ends the channel."""
        try:
            data, control, flags, _ = self.socket.recvmsg(messages.MAXIMUM, ROOM_FOR_ONE, NOW | socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return Seen.NOTHING
        except ConnectionResetError:
            # Told once, when the other end was closed with unread messages; what it had sent before comes next.
            return Seen.HANDLED
        except OSError as error:
            raise ChannelEnded(f"the channel to limpet failed: {error.strerror}") from error
        fds = descriptors(control)
        if not data and not fds and not flags & (socket.MSG_CTRUNC | socket.MSG_TRUNC):
            raise ChannelEnded("limpet has closed the channel")
        message = None if flags & socket.MSG_TRUNC else messages.parse(data)
        if isinstance(message, messages.Details):
            return self._arrived(message, fds, bool(flags & socket.MSG_CTRUNC))
        for fd in fds:
            os.close(fd)
        if isinstance(message, messages.Ping):
            self.say("pong", id=message.id)
        elif isinstance(message, messages.Drain):
            return Seen.DRAIN
        elif isinstance(message, messages.Welcome):
            return message
        elif isinstance(message, messages.Bye):
            raise Refused(f"limpet ends the channel: {message.reason or 'it gives no reason'}")
        else:
            self.skipped += 1
        return Seen.HANDLED

    def _arrived(self, details: messages.Details, fds: "array.array[int]", truncated: bool) -> Union[Connection, Seen]:
        # The kernel drops a descriptor for which this process has no room.
        if len(fds) == 1 and not truncated:
            try:
                return Connection(fds[0], details)
            except OSError:
                pass
        for fd in fds:
            os.close(fd)
        self.refused += 1
        self.say("refuse", id=details.id)
        return Seen.HANDLED


class Source:
    """Where the channel comes from: inherited from limpet, or joined at a socket.

    path  of the socket to join at, "@NAME" if it is abstract; None if the channel is inherited
    slot  None: limpet chooses
    """

    def __init__(self, path: Optional[str], pool: Optional[str], slot: Optional[str], fd: int = -1) -> None:
        self.path = path
        self.pool = pool
        self.slot = slot
        self._chosen: Optional[str] = None
        self._fd = fd

    def open(self) -> Channel:
        """An inherited channel is ready to use (say ready). A joined one has said hello, and must be welcomed first."""
        if self.path is None:
            channel = Channel(inherit(self._fd))
            channel.say("hello", version=1, pool=self.pool, slot=self.slot)
            return channel
        end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        try:
            end.connect("\0" + self.path[1:] if self.path.startswith("@") else self.path)
            channel = Channel(end)
            # Who is refused at once cannot say it any more, and reads why.
            with contextlib.suppress(ChannelEnded):
                channel.say("hello", version=1, pool=self.pool, slot=self.slot or self._chosen, capabilities=["stats"])
            return channel
        except OSError as error:
            end.close()
            raise NoLimpet(
                f"cannot join limpet at {self.path}: {error.strerror}; is limpet running, with a pool that is joined there, "
                "and may this user connect to it?") from error
        except BaseException:
            end.close()
            raise

    def welcomed(self, welcome: messages.Welcome) -> None:
        """The next time, it asks for the slot that it had, and its clients come back to it."""
        self._chosen = welcome.slot

    def refused(self) -> None:
        """The slot that limpet chose the last time may be somebody else's by now."""
        self._chosen = None


_inherited: Set[int] = set()


def inherit(fd: int) -> socket.socket:
    if fd in _inherited:
        raise NoLimpet("this process has taken its channel to limpet already: one listener or server is all it can have")
    try:
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            raise NoLimpet(f"LIMPET_FD={fd} is no socket: something between limpet and this program has used the number "
                           "for something else; let limpet run this program directly")
    except OSError as error:
        raise NoLimpet(f"LIMPET_FD={fd} is not open: what limpet ran has closed it before it ran this program; let limpet "
                       "run this program directly, or through sh -c 'exec ...'") from error
    channel = socket.socket(fileno=fd)
    if channel.family != socket.AF_UNIX or channel.type != socket.SOCK_SEQPACKET:
        channel.detach()
        raise NoLimpet(f"LIMPET_FD={fd} is another socket than limpet's: let limpet run this program directly")
    channel.set_inheritable(False)
    _inherited.add(fd)
    return channel


def find(path: Optional[str] = None, pool: Optional[str] = None, slot: Optional[str] = None,
         environment: Optional[Mapping[str, str]] = None) -> Source:
    """The arguments go before LIMPET_SOCKET, LIMPET_POOL and LIMPET_SLOT; LIMPET_FD goes before all, since a process that
    limpet started has its place. NoLimpet: there is neither."""
    given = os.environ if environment is None else environment
    number = given.get("LIMPET_FD")
    if number is not None:
        if not (number.isascii() and number.isdigit() and len(number) < 8):
            raise NoLimpet(f"LIMPET_FD={number!r} is no number of a file descriptor; leave it to limpet to set it")
        return Source(None, given.get("LIMPET_POOL"), given.get("LIMPET_SLOT"), int(number))
    path = path or given.get("LIMPET_SOCKET")
    if path:
        return Source(path, pool or given.get("LIMPET_POOL"), slot or given.get("LIMPET_SLOT"))
    if given.get("LIMPET_SLOT"):
        raise NoLimpet("limpet started this process with another protocol than limpet: give its pool \"protocol\": \"limpet\" "
                       "(or the option -p limpet)")
    raise NoLimpet("this process was not started by limpet, and does not know where to join one: start it with limpet, as in "
                   "\"limpet -p limpet -- python3 worker.py\", or set LIMPET_SOCKET to the socket where workers join")


def retries() -> Iterator[float]:
    """Seconds to wait before each attempt: doubling, and never the same for two processes."""
    longest = RETRY_FIRST
    while True:
        yield longest * random.uniform(0.5, 1.0)
        longest = min(longest * 2, RETRY_LAST)
