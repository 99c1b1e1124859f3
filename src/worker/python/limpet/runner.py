"""What the runners of ASGI servers have in common."""
import logging
import sys
from typing import Any, Callable, NoReturn

from . import asyncio as limpet_asyncio
from . import channel
from .errors import LimpetError

logger = logging.getLogger("limpet")


class Server(limpet_asyncio.Server):
    """The servers wait for the listener first and for its connections then, on their own."""

    async def wait_closed(self) -> None:
        await self.wait_drained()


async def listen(factory: Callable[[], Any], ssl: Any, **options: Any) -> Server:
    server = Server(channel.find(), factory, ssl, {name: value for name, value in options.items() if value is not None})
    await server._start()
    return server


def end(program: str, message: str) -> NoReturn:
    print(f"{program}: {message}", file=sys.stderr)
    sys.exit(2)


def check(program: str) -> None:
    """Ends the process if there is no limpet, before the application is loaded."""
    try:
        channel.find()
    except LimpetError as error:
        end(program, str(error))


def one_process(program: str, workers: int, reload: bool) -> None:
    if workers > 1:
        end(program, f"it is limpet that runs more than one: leave out --workers {workers}, and tell limpet \"-n {workers}\" "
            "(or \"workers\")")
    if reload:
        end(program, "--reload does not go with limpet: \"limpetctl restart\" starts every worker anew, and cuts nobody off")
