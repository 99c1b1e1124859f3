"""What goes wrong between a worker and limpet. Each message names the remedy."""


class LimpetError(Exception):
    """All errors of this package, but for Drained."""


class NoLimpet(LimpetError):
    """This process has no channel to limpet, and nowhere to join."""


class Refused(LimpetError):
    """limpet answered that this process may not join."""


class ChannelEnded(LimpetError):
    """The channel ended: limpet, or what ran it, is gone."""


class Drained(OSError):
    """No connection comes any more: limpet drains this worker or is gone, or close() was called. Finish those that are
    open, and end."""
