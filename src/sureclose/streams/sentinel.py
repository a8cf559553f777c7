"""The log behind Sentinel: connections that go to the master of now, and never stay with one of before.

redis-py's own classes ask one Sentinel after the other and believe the first; their pool does not wait when it is full. A
Sentinel that was cut off still names the old master, and a demoted server still answers. So a majority of the listed ones
has to answer, the answer with the highest configuration epoch counts, and each connection asks its server for its role.
"""

import asyncio
import weakref
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec
from redis.asyncio import Redis
from redis.asyncio.connection import Connection, SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, RedisError

from sureclose.streams.wire import Wire, pairs

PORT: Final = 26379


class Place(msgspec.Struct, frozen=True):
    """Where a server is."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Service(msgspec.Struct, frozen=True):
    """What an address with Sentinels says. The credentials are the server's; the Sentinels have their own."""

    sentinels: tuple[Place, ...]
    name: str
    server_url: str
    """The address of a server without its place, for redis-py: credentials, database and TLS."""
    username: str | None = None
    password: str | None = None


class NoMaster(RedisConnectionError):
    """Too few Sentinels say which server is the master."""


def parse(url: str) -> Service:
    """``redis+sentinel://[user:password@]host[:port][,host[:port]...]/service[/db]``; raises ``ValueError``."""
    parts = urlsplit(url)
    credentials, _, places = parts.netloc.rpartition("@")
    name, _, database = parts.path.strip("/").partition("/")
    if not places or not name:
        raise ValueError("an address with Sentinels is redis+sentinel://host:port,host:port/service")
    if database and not database.isdigit():
        raise ValueError(f"{database!r} is no number of a database")
    found = []
    for place in places.split(","):
        host, separator, port = place.rpartition(":")
        if separator and not port.isdigit():
            raise ValueError(f"{place!r} is no place of a Sentinel")
        found.append(Place(host, int(port)) if separator else Place(place, PORT))
    if any(not place.host for place in found):
        raise ValueError("a Sentinel without a host")
    query = parse_qsl(parts.query, keep_blank_values=True)
    own = {key: unquote(value) for key, value in query if key.startswith("sentinel_")}
    rest = "&".join(f"{key}={value}" for key, value in query if not key.startswith("sentinel_"))
    scheme = parts.scheme.partition("+")[0]
    at = f"{credentials}@" if credentials else ""
    server_url = f"{scheme}://{at}sentinel.invalid/{database or 0}{'?' if rest else ''}{rest}"
    return Service(tuple(found), name, server_url, own.get("sentinel_username"), own.get("sentinel_password"))


class Sentinels:
    """The Sentinels of one log."""

    def __init__(self, service: Service, *, timeout_s: float) -> None:
        self._service = service
        self._timeout_s = timeout_s
        self._options: dict[str, Any] = {
            name: value for name, value in parse_url(service.server_url).items() if name.startswith("ssl_")
        }
        self.connections: weakref.WeakSet[MasterConnection] = weakref.WeakSet()
        """All that were made to a master."""

    async def master(self) -> Place:
        """Where the master is, by the newest word of a majority that answers; raises ``NoMaster``."""
        service = self._service
        answers = await asyncio.gather(*(self._asked(place) for place in service.sentinels))
        said = [answer for answer in answers if answer is not None]
        if 2 * len(said) <= len(answers):
            raise NoMaster(
                f"{len(said)} of {len(answers)} Sentinels say where {service.name} is; more than half have to"
            )
        return max(said, key=lambda answer: answer[0])[1]

    async def require(self) -> None:
        """Close every connection to a server that is not the master any more; raises ``NoMaster`` if there was one.

        A server that was cut off from its Sentinels goes on answering, and does not say so.
        """
        place = await self.master()
        stale = [
            one
            for one in self.connections
            if one.is_connected and (one.host, one.port) != (place.host, place.port)
        ]
        for connection in stale:
            await connection.disconnect()
        if stale:
            raise NoMaster(
                f"{len(stale)} connections were to {stale[0].host}:{stale[0].port}, and {place} is the master"
            )

    async def _asked(self, place: Place) -> tuple[int, Place] | None:
        """What one Sentinel says, with its configuration epoch; ``None`` when it says nothing."""
        client = Redis(
            host=place.host,
            port=place.port,
            username=self._service.username,
            password=self._service.password,
            socket_timeout=self._timeout_s,
            socket_connect_timeout=self._timeout_s,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            driver_info=None,
            ssl=self._service.server_url.startswith("rediss:"),
            **self._options,
        )
        wire: Wire = client
        try:
            reply = await wire.execute_command(b"SENTINEL", b"MASTER", self._service.name)
        except (RedisError, OSError):
            return None
        finally:
            await client.aclose()
        facts = pairs(reply)
        epoch = int(facts.get(b"config-epoch", b"0"))
        return epoch, Place(facts[b"ip"].decode(), int(facts[b"port"]))


class MasterConnection(Connection):
    """A connection to whatever server is the master when it is made."""

    def __init__(self, *, sentinels: Sentinels, **options: Any) -> None:
        super().__init__(**options)
        self._sentinels = sentinels

    async def _connect(self) -> None:
        place = await self._sentinels.master()
        self.host, self.port = place.host, place.port
        await super()._connect()  # type: ignore[no-untyped-call]
        self._sentinels.connections.add(self)

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        await super().on_connect_check_health(check_health=check_health)
        await self.send_command("ROLE", check_health=False)
        role = await self.read_response()
        if not isinstance(role, list) or role[0] != b"master":
            await self.disconnect()
            raise RedisConnectionError(f"{self.host}:{self.port} is no master")

    async def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*args, **options)
        except ReadOnlyError as error:
            # Demoted under us: the next connection asks again.
            await self.disconnect()
            raise RedisConnectionError(f"{self.host}:{self.port} is no master any more") from error


class MasterTlsConnection(MasterConnection, SSLConnection):
    """The same over TLS."""
