"""Servers for asyncio whose connections come from limpet. Everything else is as asyncio.start_server() and
loop.create_server() have it; uvloop will do, too.

    import limpet.asyncio

    async def handler(reader, writer):
        ...

    asyncio.run(limpet.asyncio.serve(handler))
"""
import asyncio
import collections
import functools
import logging
import ssl as tls
from typing import Any, Awaitable, Callable, Deque, Dict, List, Optional, Set, Union

from . import channel as channels
from .channel import Channel, Seen
from .connection import Connection
from .errors import ChannelEnded, LimpetError, NoLimpet, Refused
from .messages import Details, Welcome

logger = logging.getLogger("limpet")

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Union[Awaitable[None], None]]
ProtocolFactory = Callable[[], asyncio.BaseProtocol]

# Datagrams read in one turn of the loop.
BUDGET = 32


class Server(asyncio.AbstractServer):
    """What asyncio.Server is for a listening socket. Made by create_server() and start_server().

    Not thread-safe, as asyncio is not."""

    def __init__(self, source: channels.Source, protocol_factory: ProtocolFactory, ssl: Optional[tls.SSLContext],
                 options: Dict[str, Any]) -> None:
        self._loop = asyncio.get_running_loop()
        self._source = source
        self._factory = protocol_factory
        self._ssl = ssl
        self._options = options
        self._channel: Optional[Channel] = None
        self._held: Deque[Connection] = collections.deque()  # their acknowledgements are not sent yet
        self._open = 0
        self._details: Dict[int, Details] = {}  # of those that are open, by the number of the socket
        self._tasks: Set["asyncio.Task[None]"] = set()
        self._joining: Optional["asyncio.Task[None]"] = None
        self._closing = False
        self._stopped = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.on_drained: List[Callable[[], object]] = []
        """Called in the loop, once, when no connection will come any more."""

    # What asyncio.Server has.

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def is_serving(self) -> bool:
        return self._channel is not None and not self._stopped.is_set()

    async def start_serving(self) -> None:
        """Tells limpet that this worker is ready; done by create_server() already."""

    async def serve_forever(self) -> None:
        """Until limpet drains this worker or close() is called, and the last connection has ended."""
        try:
            await self.wait_closed()
        finally:
            self.close()

    def close(self) -> None:
        """Takes no more connections. What is open stays so; the channel is kept until the last of them is closed, for
        limpet ends a worker that closes it."""
        if self._closing:
            return
        self._closing = True
        if self._joining:
            self._joining.cancel()
        if self._channel and not self._stopped.is_set():
            self._say("bye")
        self._stop()

    async def wait_closed(self) -> None:
        """Until no connection comes any more, and all are closed."""
        await self._stopped.wait()
        await self._idle.wait()

    # What limpet adds.

    async def wait_drained(self) -> None:
        """Until no connection comes any more: limpet drains this worker or is gone, or close() was called."""
        await self._stopped.wait()

    @property
    def drained(self) -> bool:
        """No connection comes any more."""
        return self._stopped.is_set()

    @property
    def connections(self) -> int:
        """How many are open."""
        return self._open

    def stats(self, **values: float) -> None:
        """Numbers of this worker that limpetctl status shows: stats(rooms=12)."""
        if self._channel:
            self._channel.tell(values)

    def details(self, transport: asyncio.BaseTransport) -> Optional[Details]:
        """What limpet said of the connection: of a StreamWriter, give its `transport`. None once it is closed."""
        connection = transport.get_extra_info("socket")
        return None if connection is None else self._details.get(connection.fileno())

    # The channel.

    async def _start(self) -> None:
        self._attach(await self._join())

    def _attach(self, channel: Channel) -> None:
        self._channel = channel
        self._loop.add_reader(channel.fileno(), self._readable)
        self._say("ready")

    def _detach(self) -> None:
        if self._channel:
            self._loop.remove_reader(self._channel.fileno())
            self._loop.remove_writer(self._channel.fileno())
            self._channel.close()
            self._channel = None
        # Another worker may have them by now.
        while self._held:
            self._held.popleft().close()

    def _say(self, kind: str) -> None:
        assert self._channel
        try:
            self._sent(self._channel.say(kind))
        except ChannelEnded as error:
            self._lost(error)

    def _sent(self, all_of_it: bool) -> None:
        """Nothing is read while an answer waits."""
        assert self._channel
        if not all_of_it:
            self._loop.remove_reader(self._channel.fileno())
            self._loop.add_writer(self._channel.fileno(), self._writable)
            return
        while self._held:
            self._serve(self._held.popleft())

    def _writable(self) -> None:
        assert self._channel
        try:
            if not self._channel.flush():
                return
        except ChannelEnded as error:
            self._lost(error)
            return
        self._loop.remove_writer(self._channel.fileno())
        self._loop.add_reader(self._channel.fileno(), self._readable)
        self._sent(True)

    def _readable(self) -> None:
        try:
            for _ in range(BUDGET):
                if not self._channel or not self._channel.flush():
                    break
                seen = self._channel.receive()
                if seen is Seen.NOTHING:
                    break
                if seen is Seen.DRAIN:
                    self._stop()
                elif isinstance(seen, Connection):
                    self._arrived(self._channel, seen)
            if self._channel:
                self._sent(self._channel.flush())
        except (ChannelEnded, Refused) as error:
            self._lost(error)

    def _arrived(self, channel: Channel, connection: Connection) -> None:
        if self._closing:
            channel.refuse(connection)
            return
        self._held.append(connection)
        if channel.acknowledge(connection):
            self._serve(self._held.popleft())

    def _lost(self, error: LimpetError) -> None:
        self._detach()
        if self._source.path is None or self._closing:
            self._stop()
        elif not self._joining and not self._stopped.is_set():
            logger.warning("%s; joining again", error)
            self._joining = self._loop.create_task(self._join_again())

    def _stop(self) -> None:
        if not self._stopped.is_set():
            self._stopped.set()
            for call in self.on_drained:
                self._loop.call_soon(call)
        self._end()

    def _end(self) -> None:
        if self._closing and not self._open and not self._tasks:
            self._detach()

    # Connections.

    def _serve(self, connection: Connection) -> None:
        number = connection.fileno()
        self._open += 1
        self._details[number] = connection.limpet
        self._idle.clear()
        connection.watch(functools.partial(self._on_closed, number, connection.limpet))
        connection.setblocking(False)
        task = self._loop.create_task(self._connect(connection))
        self._tasks.add(task)
        task.add_done_callback(self._connected)

    async def _connect(self, connection: Connection) -> None:
        try:
            loop: Any = self._loop  # its abstract class does not know the function
            await loop.connect_accepted_socket(self._factory, connection, ssl=self._ssl, **self._options)
        except (OSError, asyncio.TimeoutError) as error:
            # As asyncio has it for a TLS handshake that fails: a client's mistake is nobody's news.
            logger.debug("a connection failed: %r", error)
        except Exception as error:
            self._loop.call_exception_handler({"message": "limpet: a connection was not served", "exception": error})
        else:
            return
        connection.close()

    def _connected(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._check_idle()

    def _on_closed(self, number: int, details: Details) -> None:
        # Whoever closes it: most often the transport, but a collection of garbage may come at any time, in any thread.
        try:
            self._loop.call_soon_threadsafe(self._one_closed, number, details)
        except RuntimeError:
            pass  # the loop is closed

    def _one_closed(self, number: int, details: Details) -> None:
        self._open -= 1
        # The number may be another one's by now.
        if self._details.get(number) is details:
            del self._details[number]
        if self._channel:
            try:
                if not self._channel.count_closed():
                    self._sent(False)
            except ChannelEnded as error:
                self._lost(error)
        self._check_idle()

    def _check_idle(self) -> None:
        if not self._open and not self._tasks:
            self._idle.set()
            self._end()

    # Joining.

    async def _join(self) -> Channel:
        channel = self._source.open()
        try:
            if self._source.path is not None:
                try:
                    welcome = await asyncio.wait_for(self._welcome(channel), channels.WELCOME_WITHIN)
                except asyncio.TimeoutError:
                    raise NoLimpet(f"{self._source.path} does not answer: is it the socket where limpet's workers "
                                   "join?") from None
                self._source.welcomed(welcome)
        except BaseException:
            channel.close()
            raise
        return channel

    async def _welcome(self, channel: Channel) -> Welcome:
        while True:
            seen = channel.receive()
            if isinstance(seen, Welcome):
                return seen
            if isinstance(seen, Connection):
                seen.close()
                raise ChannelEnded("limpet has sent a connection before its welcome")
            if seen is Seen.NOTHING:
                readable = asyncio.Event()
                self._loop.add_reader(channel.fileno(), readable.set)
                try:
                    await readable.wait()
                finally:
                    self._loop.remove_reader(channel.fileno())

    async def _join_again(self) -> None:
        for delay in channels.retries():
            await asyncio.sleep(delay)
            try:
                channel = await self._join()
            except Refused as error:
                self._source.refused()
                logger.warning("%s", error)
            except LimpetError as error:
                logger.debug("%s", error)
            else:
                break
        logger.warning("joined limpet again at %s", self._source.path)
        self._joining = None
        self._attach(channel)


async def create_server(protocol_factory: ProtocolFactory, *, ssl: Optional[tls.SSLContext] = None,
                        ssl_handshake_timeout: Optional[float] = None, socket: Optional[str] = None,
                        pool: Optional[str] = None, slot: Optional[str] = None) -> Server:
    """As loop.create_server(), without an address: this worker is ready when it returns. socket, pool and slot are those of
    limpet.Listener, and so are the exceptions: NoLimpet, Refused."""
    options = {} if ssl_handshake_timeout is None else {"ssl_handshake_timeout": ssl_handshake_timeout}
    server = Server(channels.find(socket, pool, slot), protocol_factory, ssl, options)
    await server._start()
    return server


async def start_server(client_connected_cb: Handler, *, limit: int = 2**16, ssl: Optional[tls.SSLContext] = None,
                       ssl_handshake_timeout: Optional[float] = None, socket: Optional[str] = None,
                       pool: Optional[str] = None, slot: Optional[str] = None) -> Server:
    """As asyncio.start_server()."""
    def factory() -> asyncio.StreamReaderProtocol:
        loop = asyncio.get_running_loop()
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(limit=limit, loop=loop), client_connected_cb, loop=loop)
    return await create_server(factory, ssl=ssl, ssl_handshake_timeout=ssl_handshake_timeout, socket=socket, pool=pool,
                               slot=slot)


async def serve(client_connected_cb: Handler, **options: Any) -> None:
    """start_server() and its serve_forever(): returns when limpet has drained this worker and its last client has gone."""
    server = await start_server(client_connected_cb, **options)
    await server.serve_forever()
