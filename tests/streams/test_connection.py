"""The log's clients: what is sent once stays sent once, and passwords stay hidden."""

import socket

import msgspec
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from sureclose.streams.address import masked
from sureclose.streams.connection import Log, LogSettings
from sureclose.streams.embedded import EmbeddedServer
from sureclose.streams.errors import (
    LogAddressInvalid,
    LogNotDurable,
    LogTooOld,
    LogUnreachable,
)
from sureclose.streams.report import LogReport, read_report
from sureclose.streams.script import Script
from sureclose.streams.sentinel import parse
from tests.streams.lossy_proxy import Loss, LossyProxy


class FakeServer:
    """Answers INFO and CONFIG GET as some server would."""

    def __init__(self, info: str, config: dict[str, str] | None = None) -> None:
        self.info = info
        self.config = config

    async def execute_command(self, *args: bytes | str | int) -> object:
        if args[0] == b"INFO":
            return self.info.replace("\n", "\r\n").encode()
        assert args[:2] == (b"CONFIG", b"GET")
        if self.config is None:
            raise NoPermissionError("this user has no permissions to run the 'config|get' command")
        return [text.encode() for pair in self.config.items() for text in pair]


async def reported(info: str, config: dict[str, str] | None) -> LogReport:
    return await read_report(FakeServer(info, config), "redis://there")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:secret@h:1/0", "redis://:***@h:1/0"),
        ("rediss://me:secret@h", "rediss://me:***@h"),
        ("unix://:secret@/run/s.sock?db=2", "unix://:***@/run/s.sock?db=2"),
        ("unix:///run/s.sock?password=secret", "unix:///run/s.sock?password=***"),
    ],
)
def test_a_password_is_never_shown(url: str, shown: str) -> None:
    settings = LogSettings(url=url)
    assert "secret" not in repr(settings)
    assert repr(Log(settings)) == f"Log('{shown}')"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://h", "'http'"),
        ("redis://h?retry_on_timeout=true", "'retry_on_timeout' is not allowed"),
        ("redis://h?socket_timeout=300", "'socket_timeout' is not allowed"),
        ("redis://h:port", "not shown"),
        ("unix://relative", "unix:///path"),
    ],
)
def test_an_address_that_would_bring_back_unsafe_defaults_or_is_none_is_refused(url: str, why: str) -> None:
    with pytest.raises(LogAddressInvalid, match=why):
        LogSettings(url=url)


def test_an_address_with_sentinels_is_taken_and_shown_without_its_passwords() -> None:
    url = "redis+sentinel://me:secret@a:1,b/main/3?sentinel_password=hidden"
    assert "secret" not in masked(url)
    assert "hidden" not in masked(url)
    assert LogSettings(url=url).through_sentinel
    service = parse(url)
    assert [str(place) for place in service.sentinels] == ["a:1", "b:26379"]
    assert (service.name, service.password) == ("main", "hidden")
    assert service.server_url == "redis://me:secret@sentinel.invalid/3"


@pytest.mark.parametrize(
    "place", ["/main", "a:1", "a:1/", "a:x/main", "a:1,/main", "a:1/main/x", "a:1/main?retry=3"]
)
def test_an_address_with_sentinels_that_says_too_little_is_refused(place: str) -> None:
    with pytest.raises(LogAddressInvalid):
        LogSettings(url=f"redis+sentinel://{place}")


def test_settings_are_read_from_configuration_and_bounded() -> None:
    assert msgspec.convert({"accept_everysec": True}, LogSettings).url == "embedded"
    with pytest.raises(ValueError, match="block_ms"):
        LogSettings(block_ms=5000)
    with pytest.raises(LogAddressInvalid, match="embedded"):
        Log(LogSettings())


async def test_valkeys_own_version_is_reported_and_not_the_one_for_old_clients() -> None:
    report = await reported(
        "redis_version:7.2.4\nvalkey_version:9.1.2\nrole:master\naof_enabled:1\n", {"appendfsync": "always"}
    )
    assert (report.name, report.version, report.not_durable_because) == ("valkey", "9.1.2", None)


async def test_an_old_server_is_refused_with_its_version_and_what_to_do() -> None:
    with pytest.raises(LogTooOld, match=r"redis 6\.2\.14.*Use Redis >= 7\.0"):
        await reported("redis_version:6.2.14\n", {})


async def test_where_config_is_forbidden_the_fsync_is_unknown_and_not_assumed() -> None:
    report = await reported("redis_version:7.2.1\naof_enabled:1\nmaxmemory_policy:noeviction\n", None)
    assert (report.config_readable, report.appendfsync, report.maxmemory_policy) == (
        False,
        None,
        "noeviction",
    )
    with pytest.raises(LogNotDurable, match="does not tell"):
        report.require_durable(accept_everysec=False)


async def test_everysec_needs_its_owners_word_and_no_aof_at_all_is_never_durable() -> None:
    everysec = await reported("redis_version:7.2.1\naof_enabled:1\n", {"appendfsync": "everysec"})
    with pytest.raises(LogNotDurable, match=r"everysec.*redis\.accept_everysec"):
        everysec.require_durable(accept_everysec=False)
    everysec.require_durable(accept_everysec=True)
    memory = await reported("redis_version:7.2.1\naof_enabled:0\n", {"appendfsync": "always"})
    with pytest.raises(LogNotDurable, match="appendonly is no"):
        memory.require_durable(accept_everysec=True)


async def test_an_absent_log_is_unreachable_with_its_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    async with Log(LogSettings(url=f"redis://:secret@127.0.0.1:{port}")) as log:
        with pytest.raises(LogUnreachable, match=f"127.0.0.1:{port}") as unreachable:
            await log.check()
    assert "secret" not in str(unreachable.value)


@pytest.mark.parametrize("loss", [Loss.CUT, Loss.SWALLOW])
async def test_a_command_whose_reply_is_lost_is_not_sent_again(
    log_server: EmbeddedServer, log: Log, log_prefix: str, loss: Loss
) -> None:
    stream = f"{log_prefix}s"
    async with (
        LossyProxy(log_server.tcp_url) as proxy,
        Log(LogSettings(url=proxy.url, socket_timeout_s=0.2)) as lossy,
    ):
        proxy.lose(b"XADD", loss=loss)
        with pytest.raises((RedisConnectionError, RedisTimeoutError)):
            await lossy.commands().xadd(stream, {"n": "1"})
        assert await lossy.commands().xlen(stream) == 1


async def test_readers_have_connections_of_their_own(log: Log) -> None:
    first, second = log.reader(), log.reader()
    ids = {await client.client_id() for client in (first, second, log.commands())}
    assert len(ids) == 3
    await first.aclose()
    await second.aclose()


async def test_a_script_that_the_server_forgot_is_loaded_again(log: Log, log_prefix: str) -> None:
    count = Script("return redis.call('INCR', KEYS[1])")
    key = f"{log_prefix}n"
    assert await count.call(log.commands(), [key], []) == 1
    await log.commands().script_flush()
    assert await count.call(log.commands(), [key], []) == 2
