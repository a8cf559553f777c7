"""From the configuration to a session: host or attach, connect, and put everything away again."""

import asyncio
import getpass
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing

import msgspec
from redis.exceptions import RedisError

from sureclose import config as configuration
from sureclose.cli.options import Options
from sureclose.config import Config, ConfigError
from sureclose.domain.words import Mode
from sureclose.journal.fence import Fence
from sureclose.journal.keys import Keys
from sureclose.journal.mirror import Mirror
from sureclose.operate.host import Host, Wanted, paper_arguments
from sureclose.operate.session import Session
from sureclose.services.identity import producer
from sureclose.services.reading import Wiring
from sureclose.services.supervisor import GRACE_S
from sureclose.streams.address import EMBEDDED
from sureclose.streams.clock import LogClock
from sureclose.streams.codec import CodecRules
from sureclose.streams.connection import Log
from sureclose.streams.errors import LogUnreachable
from sureclose.streams.outage import Outage
from sureclose.streams.wire import wait_set
from sureclose.venue.clock import steady_seconds, wall_ms
from sureclose.venue.environments import VenueSettings
from sureclose.venue.rest import BinanceRest
from sureclose.venue.secret import Credentials, Secret


def load(options: Options) -> Config:
    """The configuration that the command line asks for; raises ``ConfigError``."""
    return configuration.load(options.files)


def http_port_is_default(options: Options) -> bool:
    """Whether nobody asked for the port of ``[http]``."""
    return configuration.source(options.files, "http", "port") == configuration.BY_DEFAULT


def actor() -> str:
    """Who asks: the person behind sudo, else the user of this process."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


def hosts_paper(config: Config) -> bool:
    """Whether the paper exchange is ours to start."""
    return config.venue.environment is Mode.PAPER and not config.venue.base_url


@asynccontextmanager
async def opened(
    options: Options, name: str, *, may_start: bool, patient: asyncio.Event | None = None
) -> AsyncIterator[Session]:
    """A session for the command ``name``. Without ``may_start`` it only attaches, and raises ``NotRunning``.

    With ``patient`` a log that does not answer is waited for until that event is set: everything may start at once.
    """
    config = load(options)
    paper = hosts_paper(config)
    wanted = Wanted(
        folder=config.data_dir,
        command=name,
        log=config.redis.url == EMBEDDED,
        binary=config.redis.binary,
        paper=paper,
        paper_arguments=paper_arguments(
            config.paper.positions, config.paper.symbols, config.paper.limits, config.paper.seed
        ),
        leaving_s=config.execution.drain_s + GRACE_S,
    )
    account = Keys(config.streams.prefix, config.account)
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(Host(wanted, may_start=may_start, monotonic=time.monotonic))
        log = await stack.enter_async_context(Log(config.redis, address=host.runtime.log_url or None))
        clock = LogClock(wall_ms, steady_seconds)
        await _reach(log, clock, patient)
        settings, keys = _venue(config, host)
        venue = await stack.enter_async_context(_rest(settings, keys))
        yield Session(
            log=log,
            host=host,
            streams=config.streams,
            execution=config.execution,
            harvest_brain=config.harvest_brain,
            authority=config.authority,
            keeping=config.journal,
            http=config.http,
            http_port_is_default=http_port_is_default(options),
            hooks=config.hooks,
            alerts=config.alerts,
            venue_settings=settings,
            credentials=keys,
            venue=venue,
            keys=account,
            wiring=Wiring(
                config.streams,
                CodecRules(config.venue.environment, config.compat.execute_is_approval),
                producer(name),
                account.refused,
            ),
            folder=config.data_dir,
            mode_source=configuration.source(options.files, "venue", "environment"),
            fence=stack.enter_context(closing(_fence(config, log))),
            clock=clock,
            monotonic=steady_seconds,
        )


async def _reach(log: Log, clock: LogClock, patient: asyncio.Event | None) -> None:
    """The log answers, and is one that we can use. What is no matter of waiting is raised at once."""
    outage = Outage(steady_seconds, log=log.address)
    while True:
        try:
            await log.check()
            await clock.measure(log.commands())
        except (LogUnreachable, RedisError) as error:
            if patient is None or await wait_set(patient, outage.failed(error)):
                raise
        else:
            outage.over()
            return


def _fence(config: Config, log: Log) -> Fence:
    """What this machine remembers of the log. An embedded one is named by its folder, which it never leaves."""
    address = EMBEDDED if config.redis.url == EMBEDDED else log.address
    return Fence(Mirror(config.data_dir / "mirror", f"{config.streams.prefix}{config.account}", address))


def _venue(config: Config, host: Host) -> tuple[VenueSettings, Credentials]:
    """The venue's address and keys: the embedded exchange's own, or what is configured."""
    paper = host.runtime.paper
    if paper is not None:
        settings = msgspec.structs.replace(
            config.venue,
            base_url=paper.rest,
            stream_url=paper.stream,
            count_limits=config.venue.count_limits and config.paper.limits == "real",
        )
        return settings, Credentials(Secret(paper.api_key), Secret(paper.api_secret))
    if hosts_paper(config):
        raise ConfigError(
            "the process that runs in this data folder has no paper exchange; stop it, or set venue.base_url"
        )
    keys = configuration.credentials()
    if keys is None:
        raise ConfigError(
            "set SURECLOSE__VENUE__API_KEY and SURECLOSE__VENUE__API_SECRET to the keys of the venue"
        )
    return config.venue, keys


def _rest(settings: VenueSettings, keys: Credentials) -> BinanceRest:
    try:
        return BinanceRest(settings, keys)
    except ValueError as error:
        raise ConfigError(str(error)) from None
