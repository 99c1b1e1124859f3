"""A channel for programs that wait in accept(): threads, or one connection after the other."""
import collections
import contextlib
import logging
import os
import select
import socket
import threading
import time
import types
import weakref
from typing import Any, Deque, Iterator, Optional, Tuple, Type

from . import channel as channels
from .channel import Channel, Seen
from .connection import Connection
from .errors import ChannelEnded, Drained, LimpetError, NoLimpet, Refused
from .messages import Welcome

logger = logging.getLogger("limpet")


class Listener:
    """Takes connections from limpet as a listening socket does from the kernel.

    Started by limpet (protocol limpet), it needs no argument. Else it joins at the socket `socket` ("@NAME" if abstract), or
    $LIMPET_SOCKET, as a worker of `pool` ($LIMPET_POOL) in `slot` ($LIMPET_SLOT; limpet chooses one if there is neither),
    and joins again when limpet was started anew.

    accept() and close() may be called from any thread; connections go to the threads in accept() in no certain order. Whoever
    does not come back to accept() for stuck_timeout loses new clients to other workers until it does.

    NoLimpet, Refused: there is no limpet, or it does not take this process.
    """

    def __init__(self, socket: Optional[str] = None, pool: Optional[str] = None, slot: Optional[str] = None) -> None:
        self._source = channels.find(socket, pool, slot)
        self._reading = threading.Lock()  # who reads the channel
        # How many are in accept(), and whether more may come. Reentrant, for a signal's handler that calls close().
        self._accepting = threading.Condition(threading.RLock())
        self._inside = 0
        self._ended: Deque[None] = collections.deque()  # connections that have ended; appended to by finalizers
        self._open = 0
        self._drained = False
        self._closing = False
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        # Not sooner: the last connection that is closed still wakes, and must not write to another's file.
        weakref.finalize(self, os.close, self._wake_read).atexit = False
        weakref.finalize(self, os.close, self._wake_write).atexit = False
        self._channel: Optional[Channel] = self._join()

    # What a listening socket has.

    def accept(self, timeout: Optional[float] = None) -> Tuple[Connection, Any]:
        """(socket, client address), acknowledged. Drained: none comes any more. TimeoutError (socket.timeout before Python
        3.10): none came within `timeout` seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        with self._accepting:
            if self._closing:
                raise Drained("this listener is closed")
            self._inside += 1
        try:
            if not self._reading.acquire(timeout=-1 if timeout is None else timeout):
                raise socket.timeout("no connection came")
            try:
                while True:
                    if self._drained or self._closing:
                        raise Drained("limpet sends no connection any more")
                    connection = self._next(end)
                    if connection:
                        return connection, connection.limpet.address
            finally:
                self._reading.release()
        finally:
            with self._accepting:
                self._inside -= 1
                self._accepting.notify_all()

    def __iter__(self) -> Iterator[Tuple[Connection, Any]]:
        """accept() until limpet drains this worker."""
        while True:
            try:
                yield self.accept()
            except Drained:
                return

    def fileno(self) -> int:
        """For select(): readable when accept() may have something to do. It is another one after joining again."""
        return self._channel.fileno() if self._channel else -1

    def close(self) -> None:
        """Takes no more connections: threads in accept() get Drained. What is open stays so; the channel is kept until the
        last of them is closed, for limpet ends a worker that closes it."""
        with self._accepting:
            if self._closing:
                return
            self._closing = True
        self._wake()
        threading.Thread(target=self._finish, name="limpet-closing", daemon=True).start()

    def __enter__(self) -> "Listener":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[types.TracebackType]) -> None:
        self.close()

    def stats(self, **values: float) -> None:
        """Numbers of this worker that limpetctl status shows: stats(rooms=12). From any thread."""
        channel = self._channel
        if channel:
            channel.tell(values)

    @property
    def drained(self) -> bool:
        """No connection comes any more: limpet has said so, or is gone."""
        return self._drained

    # Reading, by one thread at a time.

    def _next(self, end: Optional[float]) -> Optional[Connection]:
        """Waits once. TimeoutError at `end`."""
        try:
            if self._channel is None:
                self._channel = self._join_again(end)
                return None
            if not self._channel.flush():
                self._wait(select.POLLOUT, end)
                return None
            seen = self._channel.receive()
            if isinstance(seen, Connection):
                return self._take(seen)
            if seen is Seen.DRAIN:
                self._drained = True
            elif seen is Seen.NOTHING:
                self._wait(select.POLLIN, end)
        except (ChannelEnded, Refused) as error:
            self._lost(error)
        return None

    def _take(self, connection: Connection) -> Optional[Connection]:
        assert self._channel
        if self._closing:
            self._channel.refuse(connection)
            return None
        try:
            sent = self._channel.acknowledge(connection)
            while not sent:
                # The acknowledgement is on its way, whatever close() says meanwhile.
                self._poll(self._channel.fileno(), select.POLLOUT, None)
                sent = self._channel.flush()
        except ChannelEnded:
            # Another worker may have it by now.
            connection.close()
            raise
        self._open += 1
        connection.watch(self._on_closed)
        return connection

    def _lost(self, error: LimpetError) -> None:
        if self._channel:
            self._channel.close()
            self._channel = None
        if self._source.path is None or self._closing or self._drained:
            self._drained = True
        else:
            logger.warning("%s; joining again", error)

    # Waiting.

    def _poll(self, fd: int, events: int, seconds: Optional[float]) -> bool:
        waiting = select.poll()
        waiting.register(fd, events)
        return bool(waiting.poll(None if seconds is None else max(0.0, seconds) * 1000))

    def _wait(self, events: int, end: Optional[float], seconds: Optional[float] = None) -> None:
        """For the channel, a connection that ends, close(), or `seconds`."""
        left = None if end is None else end - time.monotonic()
        if left is not None and left <= 0:
            raise socket.timeout("no connection came")
        if seconds is not None:
            left = seconds if left is None else min(left, seconds)
        waiting = select.poll()
        if self._channel:
            waiting.register(self._channel.fileno(), events)
        waiting.register(self._wake_read, select.POLLIN)
        waiting.poll(None if left is None else left * 1000)
        try:
            os.read(self._wake_read, 4096)
        except BlockingIOError:
            pass
        self._count_ended()

    def _wake(self) -> None:
        try:
            os.write(self._wake_write, b"x")
        except OSError:
            pass  # full, which wakes as well

    def _on_closed(self) -> None:
        # Called by whatever thread closes a connection, or collects it as garbage: no lock may be taken here.
        self._ended.append(None)
        self._wake()

    def _count_ended(self) -> None:
        while self._ended:
            self._ended.popleft()
            self._open -= 1
            if self._channel:
                self._channel.count_closed()

    # Joining.

    def _join(self) -> Channel:
        channel = self._source.open()
        try:
            if self._source.path is not None:
                self._source.welcomed(self._welcome(channel))
            # If it has ended already, receive() says so.
            with contextlib.suppress(ChannelEnded):
                channel.say("ready")
        except BaseException:
            channel.close()
            raise
        return channel

    def _welcome(self, channel: Channel) -> Welcome:
        end = time.monotonic() + channels.WELCOME_WITHIN
        while True:
            seen = channel.receive()
            if isinstance(seen, Welcome):
                return seen
            if isinstance(seen, Connection):
                raise ChannelEnded("limpet has sent a connection before its welcome")
            left = end - time.monotonic()
            if left <= 0:
                raise NoLimpet(f"{self._source.path} does not answer: is it the socket where limpet's workers join?")
            if seen is Seen.NOTHING:
                self._poll(channel.fileno(), select.POLLIN, left)

    def _join_again(self, end: Optional[float]) -> Optional[Channel]:
        for delay in channels.retries():
            attempt = time.monotonic() + delay
            while not self._closing and (left := attempt - time.monotonic()) > 0:
                self._wait(0, end, left)
            if self._closing:
                return None
            try:
                channel = self._join()
            except Refused as error:
                self._source.refused()
                logger.warning("%s", error)
            except LimpetError as error:
                logger.debug("%s", error)
            else:
                logger.warning("joined limpet again at %s", self._source.path)
                return channel
        return None

    # The end.

    def _finish(self) -> None:
        """Answers limpet until the last connection is closed, once every thread has left accept(): it would wait for the
        channel as long as this one keeps it."""
        with self._accepting:
            self._accepting.wait_for(lambda: self._inside == 0)
        with self._reading:
            try:
                if self._channel and not self._drained:
                    self._channel.say("bye")
            except ChannelEnded as error:
                self._lost(error)
            self._count_ended()
            while self._open > 0 and self._channel:
                self._next(None)
            if self._channel:
                self._channel.close()
                self._channel = None
