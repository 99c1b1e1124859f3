"""The socket of a client."""
import socket
import weakref
from typing import Any, Callable

from .messages import Details


class Connection(socket.socket):
    """A client's socket, as accept() gives it, and what limpet said of it in `limpet`."""

    limpet: Details
    _ended: Any  # the finalizer, or None

    def __init__(self, fd: int, details: Details) -> None:
        """Consumes fd, unless it raises OSError: then it is no socket."""
        super().__init__(fileno=fd)
        self.limpet = details
        self._ended = None

    def watch(self, on_closed: Callable[[], None]) -> None:
        """on_closed will be called once, when the socket is closed, detached or no longer referred to, by whatever thread
        does that."""
        self._ended = weakref.finalize(self, on_closed)
        # What is open when the process ends needs nobody's attention.
        self._ended.atexit = False

    def close(self) -> None:
        super().close()
        # A file of makefile() keeps it open for longer.
        if self._ended and self.fileno() == -1:
            self._ended()

    def detach(self) -> int:
        fd = super().detach()
        if self._ended:
            self._ended()
        return fd
