"""What systemd is told of this process: ready, stopping, and a sign of life that only a living process gives.

The protocol is sd_notify(3): datagrams of ``NAME=value`` lines to the socket that the environment names.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from sureclose.streams.wire import wait_set

log = structlog.get_logger()

STOP_S: Final = 30.0
"""TimeoutStopSec of the units in ``deploy/systemd``."""

_SOCKET: Final = "NOTIFY_SOCKET"
_WATCHDOG: Final = "WATCHDOG_USEC"
_WATCHDOG_PID: Final = "WATCHDOG_PID"


class Notifier:
    """The line to the service manager; without a socket in the environment it does nothing, anywhere."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        environment = os.environ if environment is None else environment
        self._address = _address(environment.get(_SOCKET, ""))
        self.interval_s: Final = _interval(environment, os.getpid()) if self._address else None
        """Seconds between two signs of life: half of what the service manager waits for. None when it doesn't."""

    @property
    def connected(self) -> bool:
        """Whether a service manager listens."""
        return self._address is not None

    def ready(self, status: str = "") -> None:
        """Start-up is over; what depends on this unit may start."""
        self._send("READY=1", *_status(status))

    def status(self, text: str) -> None:
        """One line for ``systemctl status``."""
        self._send(*_status(text))

    def stopping(self, status: str = "") -> None:
        """Stopping has begun: from here on the absence of work is no failure."""
        self._send("STOPPING=1", *_status(status))

    async def feed(self, healthy: Callable[[], bool], stop: asyncio.Event, *, stop_s: float = STOP_S) -> None:
        """Until ``stop`` is set, a sign of life at every half of the watchdog's time, while ``healthy()`` says so.

        It runs on the loop that it vouches for: a loop that does not turn feeds nobody. With ``stop`` it says that
        stopping has begun, and that it may take ``stop_s`` without a sign: a watchdog must not cut the drain short.
        Without a watchdog it only waits, because a supervised task that returns early counts as dead.
        """
        if self.interval_s is None:
            await stop.wait()
            self.stopping()
            return
        withheld = False
        while not stop.is_set():
            if healthy():
                self._send("WATCHDOG=1")
                if withheld:
                    log.warning("watchdog_fed_again")
                withheld = False
            elif not withheld:
                log.error(
                    "watchdog_withheld", remedy="the service manager restarts a process that stays unwell"
                )
                withheld = True
            await wait_set(stop, self.interval_s)
        self._send("STOPPING=1", f"WATCHDOG_USEC={round(stop_s * 1_000_000)}")

    def _send(self, *lines: str) -> None:
        """One datagram, never waited for: a service manager that doesn't read must not hold up a close."""
        if self._address is None or not lines:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
                line.setblocking(False)
                line.sendto("\n".join(lines).encode(errors="replace"), self._address)
        except OSError as error:
            log.warning("notify_failed", message=lines[0], error=str(error))


def _address(text: str) -> str | None:
    """A path, or ``@name`` for a socket in the abstract namespace; anything else is none that we can use."""
    if not text:
        return None
    if text.startswith("/"):
        return text
    if text.startswith("@"):
        return "\0" + text[1:]
    log.warning("notify_socket_unusable", address=text, remedy="a path or an abstract socket is needed")
    return None


def _interval(environment: Mapping[str, str], pid: int) -> float | None:
    """A watchdog that is meant for another process of the same environment is none of ours."""
    meant_for = environment.get(_WATCHDOG_PID, "")
    if meant_for and meant_for != str(pid):
        return None
    text = environment.get(_WATCHDOG, "")
    if not (text.isascii() and text.isdigit() and int(text)):
        if text:
            log.warning("watchdog_unreadable", microseconds=text, remedy="set WatchdogSec in the unit")
        return None
    return int(text) / 2_000_000


def _status(text: str) -> tuple[str, ...]:
    """One line: a line break in it would be another message."""
    return (f"STATUS={' '.join(text.split())}",) if text else ()
