"""Whether the log takes writes: a log that answers reads and refuses writes stops every close, and looks well.

Out of memory, a full disk, a replica, a server that stands still or a network that swallows: each is one loud line with
what to do, and one when it is over.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import structlog
from redis.exceptions import (
    BusyLoadingError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
)
from redis.exceptions import ConnectionError as RedisConnectionError

from sureclose.streams.connection import Log
from sureclose.streams.wire import Wire, error_code, wait_set

EVERY_S: Final = 2.0
_KEPT_MS: Final = 10_000
_REMEDIES: Final[Mapping[str, str]] = {
    "OOM": "raise maxmemory at the log's server, or free memory there",
    "MISCONF": "make room on the disk of the log's server; its own log says what it could not write",
    "READONLY": "the server is a replica: promote it, or set redis.url to the master",
    "NOREPLICAS": "the server waits for its replicas (min-replicas-to-write)",
    "LOADING": "wait: the server loads its data",
    "BUSY": "a script holds the server up: SCRIPT KILL, or wait",
    "NOPERM": "give the user of redis.url the right to SET keys of the streams' prefix",
}
_TYPED: Final = {
    OutOfMemoryError: "OOM",
    ReadOnlyError: "READONLY",
    BusyLoadingError: "LOADING",
    NoPermissionError: "NOPERM",
}
"""The client library cuts the code off these, and leaves it before all others."""
_ELSE: Final = "check that the log's server runs, has room on its disk, and can be reached"

_log = structlog.get_logger(__name__)


class WriteProbe:
    """Writes a key that means nothing and expires, on a connection of its own that a burst of closes does not hold up."""

    def __init__(self, log: Log, key: str, monotonic: Callable[[], float]) -> None:
        self._client = log.reader()
        self._wire: Wire = self._client
        self._key = key
        self._monotonic = monotonic
        self._since: float | None = None
        self._said = ""
        self.refusal = ""
        """Why the last write failed; empty while writes succeed."""

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``; to be supervised."""
        try:
            while not await wait_set(stop, EVERY_S):
                await self.ask()
        finally:
            await self._client.aclose()

    async def ask(self) -> None:
        """One write, and what is to be said of it. A connection that the server closed meanwhile says nothing of now."""
        try:
            try:
                await self._write()
            except RedisConnectionError:
                await self._write()
        except RedisError as error:
            self._refused(error)
        else:
            self._taken()

    async def _write(self) -> None:
        await self._wire.execute_command(b"SET", self._key, b"", b"PX", _KEPT_MS)

    def _refused(self, error: RedisError) -> None:
        self.refusal = str(error)
        if self._since is None:
            self._since = self._monotonic()
        kind = _kind(error)
        if kind == self._said:
            return
        self._said = kind
        _log.critical(
            "log.refuses_writes",
            kind=kind,
            error=self.refusal,
            means="nothing is sent and nothing is acknowledged; all goes on by itself when it is over",
            remedy=_REMEDIES.get(kind, _ELSE),
        )

    def _taken(self) -> None:
        if self._since is not None:
            _log.warning("log.takes_writes", seconds=round(self._monotonic() - self._since, 1))
        self.refusal, self._since, self._said = "", None, ""


def _kind(error: RedisError) -> str:
    """The server's own word for it, where it said one; else the kind of failure on the way."""
    for known, code in _TYPED.items():
        if isinstance(error, known):
            return code
    code = error_code(error)
    return code if code in _REMEDIES else type(error).__name__
