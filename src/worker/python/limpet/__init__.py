"""Takes connections from limpet, the sticky-session front. limpet-worker(7) is the protocol.

    from limpet import Listener

    with Listener() as listener:
        for connection, address in listener:
            ...

limpet.asyncio is the same for asyncio; `python -m limpet.uvicorn app:app` and `python -m limpet.hypercorn app:app` run
ASGI applications.
"""
from .connection import Connection
from .errors import ChannelEnded, Drained, LimpetError, NoLimpet, Refused
from .listener import Listener
from .messages import Details

__all__ = ["ChannelEnded", "Connection", "Details", "Drained", "LimpetError", "Listener", "NoLimpet", "Refused"]
