"""What the server behind the log is: version, role, and whether what it says is on disk is on disk."""

from typing import Any

import msgspec
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    NoPermissionError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from sureclose.streams.errors import LogAccessDenied, LogNotDurable, LogTooOld, LogUnreachable
from sureclose.streams.wire import Wire, pairs

OLDEST = (7, 0)
_ASKED = (b"appendonly", b"appendfsync", b"maxmemory-policy")


class LogReport(msgspec.Struct, frozen=True, kw_only=True):
    """None stands for "the server does not tell": managed servers forbid CONFIG, and then ``appendfsync`` is unknown."""

    name: str
    """``valkey`` or ``redis``."""
    version: str
    run_id: str
    """Changes with every start of the server."""
    role: str
    """``master`` or ``slave``, in the server's own words."""
    loading: bool
    appendonly: bool
    appendfsync: str | None
    maxmemory_policy: str
    config_readable: bool

    @property
    def not_durable_because(self) -> str | None:
        """Why an answered write may still be lost in a power cut; None when it can't."""
        if not self.appendonly:
            return "appendonly is no"
        if self.appendfsync is None:
            return "the server does not tell its appendfsync"
        return None if self.appendfsync == "always" else f"appendfsync is {self.appendfsync}"

    def require_durable(self, *, accept_everysec: bool) -> None:
        """Raise ``LogNotDurable`` unless every answered write is on disk, or its owner accepts the second's loss."""
        why = self.not_durable_because
        if why is not None and not (accept_everysec and self.appendonly and self.appendfsync != "no"):
            raise LogNotDurable(why=why)


async def read_report(wire: Wire, address: str) -> LogReport:
    """Ask the server; ``address`` is what the errors name."""
    try:
        info = _parsed(await wire.execute_command(b"INFO"))
        refuse_old(info)
        config = await _config(wire)
    except (AuthenticationError, AuthorizationError, NoPermissionError) as error:
        raise LogAccessDenied(url=address, why=error) from error
    except (RedisConnectionError, RedisTimeoutError) as error:
        raise LogUnreachable(url=address, why=error) from error
    except RedisError as error:
        raise LogUnreachable(url=address, why=f"it answers, but not as a log: {error}") from error
    name, version = server_version(info)
    return LogReport(
        name=name,
        version=version,
        run_id=info.get("run_id", ""),
        role=info.get("role", "unknown"),
        loading=info.get("loading") == "1",
        appendonly=info.get("aof_enabled") == "1",
        appendfsync=config.get("appendfsync"),
        maxmemory_policy=config.get("maxmemory-policy") or info.get("maxmemory_policy", "unknown"),
        config_readable=bool(config),
    )


def server_version(info: dict[str, str]) -> tuple[str, str]:
    """Name and version. Valkey says ``redis_version:7.2.4`` for old clients and its own in ``valkey_version``."""
    valkey = info.get("valkey_version")
    return ("valkey", valkey) if valkey else ("redis", info.get("redis_version", "0"))


def refuse_old(info: dict[str, str]) -> None:
    """Raise ``LogTooOld`` for a server before 7.0."""
    name, version = server_version(info)
    if version_key(version) < OLDEST:
        raise LogTooOld(name=name, version=version)


def version_key(version: str) -> tuple[int, ...]:
    """A version's leading numbers; what isn't a number ends them, so that nonsense is older than everything."""
    numbers: list[int] = []
    for part in version.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)


async def read_run_id(wire: Wire) -> str:
    """Which run of the server answers; raises ``RedisError``."""
    return _parsed(await wire.execute_command(b"INFO", b"server")).get("run_id", "")


async def read_started_at(wire: Wire, now: int) -> int:
    """When the server that answers was started, in the milliseconds of its own clock; raises ``RedisError``."""
    info = _parsed(await wire.execute_command(b"INFO", b"server"))
    return now - 1000 * int(info.get("uptime_in_seconds", "0"))


async def _config(wire: Wire) -> dict[str, str]:
    try:
        reply: list[Any] = await wire.execute_command(b"CONFIG", b"GET", *_ASKED)
    except NoPermissionError:
        return {}
    except ResponseError as error:
        if "unknown command" in str(error).lower():
            return {}
        raise
    return {name.decode(): value.decode() for name, value in pairs(reply).items()}


def _parsed(reply: bytes) -> dict[str, str]:
    lines = (
        line.partition(":")
        for line in reply.decode(errors="replace").splitlines()
        if not line.startswith("#")
    )
    return {name: value.strip() for name, _, value in lines if name}
