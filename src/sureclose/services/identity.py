"""Who this process is, in everything it writes."""

import os
import socket

from sureclose import __version__
from sureclose.streams.encode import Producer


def producer(name: str) -> Producer:
    """The producer of the events of one role."""
    return Producer(name=name, version=__version__, host=host(), pid=os.getpid())


def host() -> str:
    """The machine."""
    return socket.gethostname()


def worker() -> str:
    """The name of this process as the holder of a lease: told apart from every other, also after a restart."""
    return f"{host()}:{os.getpid()}:{os.urandom(4).hex()}"
