"""python -m limpet.uvicorn app:app [uvicorn's options]: uvicorn, with limpet for a listening socket.

When limpet drains it, no connection comes any more, kept-alive ones end with their response, WebSockets go on until they
end, and then it ends. SIGTERM and SIGINT end it as they end uvicorn.
"""
import asyncio
import importlib
import sys
from typing import Any, List, Optional

import uvicorn

from . import runner
from .errors import LimpetError

PROGRAM = "limpet.uvicorn"


class Server(uvicorn.Server):  # type: ignore[misc]
    """uvicorn.Server(config), whose connections come from limpet."""

    limpet: Optional[runner.Server] = None

    async def startup(self, sockets: Optional[List[Any]] = None) -> None:
        loop: Any = asyncio.get_running_loop()
        original = loop.create_server

        async def create_server(factory: Any, *_: Any, ssl: Any = None, **__: Any) -> runner.Server:
            self.limpet = await runner.listen(factory, ssl)
            return self.limpet

        # How it makes its protocols differs from version to version of uvicorn; whom it gives them to does not.
        loop.create_server = create_server
        try:
            await super().startup(sockets=[None])
        finally:
            loop.create_server = original

    async def on_tick(self, counter: int) -> bool:
        if self.limpet and self.limpet.drained:
            for connection in list(self.server_state.connections):
                # A WebSocket has no request cycle, nor has a connection whose first request is under way.
                if getattr(connection, "cycle", None) is not None:
                    connection.shutdown()
            if not self.limpet.connections:
                self.should_exit = True
        return bool(await super().on_tick(counter))


def run(app: Any, **options: Any) -> None:
    """uvicorn.run(), with limpet. What says where to listen has no effect."""
    directory = options.pop("app_dir", None)
    if directory is not None:
        sys.path.insert(0, directory)
    config = uvicorn.Config(app, **options)
    runner.one_process(PROGRAM, config.workers, config.should_reload)
    server = Server(config)
    try:
        server.run()
    except LimpetError as error:
        runner.end(PROGRAM, str(error))
    if not server.started:
        sys.exit(3)  # as uvicorn does


def main() -> None:
    runner.check(PROGRAM)
    # "uvicorn.main" is the command in the package, and hides the module of this name.
    command: Any = importlib.import_module("uvicorn.main")
    command.run = run
    command.main(prog_name=f"python -m {PROGRAM}")


if __name__ == "__main__":
    main()
