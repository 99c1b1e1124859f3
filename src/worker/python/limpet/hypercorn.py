"""python -m limpet.hypercorn app:app [hypercorn's options]: hypercorn, with limpet for a listening socket.

When limpet drains it, no connection comes any more, kept-alive ones end with their response, WebSockets go on until they
end, and then it ends. SIGTERM and SIGINT end it as they end hypercorn; sent again, or while it drains, at once.
"""
import asyncio
import signal
import socket
import threading
from typing import Any

import hypercorn.__main__ as command
from hypercorn.asyncio.run import asyncio_worker, uvloop_worker
from hypercorn.config import Sockets

from . import runner
from .errors import LimpetError

PROGRAM = "limpet.hypercorn"
WORKERS = {"asyncio": asyncio_worker, "uvloop": uvloop_worker}


class Place:
    """What hypercorn takes for a listening socket, to name it in its log."""

    family = socket.AF_UNIX

    def getsockname(self) -> str:
        return "limpet"


def run(config: Any) -> int:
    """hypercorn.run.run(), with limpet. What says where to listen has no effect."""
    runner.one_process(PROGRAM, config.workers, config.use_reloader)
    worker = WORKERS.get(config.worker_class)
    if worker is None:
        runner.end(PROGRAM, f"--worker-class {config.worker_class} does not go with limpet: use asyncio or uvloop")
    stop = threading.Event()

    def drained() -> None:
        # limpet knows how long they may take (drain_timeout). A signal leaves it to hypercorn.
        if not stop.is_set():
            config.graceful_timeout = None
            stop.set()

    async def start_server(callback: Any, *_: Any, ssl: Any = None, ssl_handshake_timeout: Any = None,
                           **__: Any) -> runner.Server:
        def factory() -> asyncio.StreamReaderProtocol:
            loop = asyncio.get_running_loop()
            return asyncio.StreamReaderProtocol(asyncio.StreamReader(loop=loop), callback, loop=loop)
        server = await runner.listen(factory, ssl, ssl_handshake_timeout=ssl_handshake_timeout)
        server.on_drained.append(drained)
        return server

    def on_signal(*_: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    place = [Place()]
    sockets = Sockets(place, [], []) if config.ssl_enabled else Sockets([], place, [])
    # It calls the function by this name, in either loop.
    original = asyncio.start_server
    asyncio.start_server = start_server  # type: ignore[assignment]
    try:
        worker(config, sockets=sockets, shutdown_event=stop)
    except LimpetError as error:
        runner.end(PROGRAM, str(error))
    finally:
        asyncio.start_server = original
    return 0


def main() -> None:
    runner.check(PROGRAM)
    command.run = run
    command.main()


if __name__ == "__main__":
    main()
