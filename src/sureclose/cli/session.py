"""From the configuration to a session: host or attach, connect, and put everything away again."""

import getpass
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

from sureclose import config as configuration
from sureclose.cli.options import Options
from sureclose.config import Config, ConfigError
from sureclose.domain.words import Mode
from sureclose.journal.keys import Keys
from sureclose.operate.host import Host, Wanted, paper_arguments
from sureclose.operate.session import Session
from sureclose.services.identity import producer
from sureclose.services.reading import Wiring
from sureclose.streams.address import EMBEDDED
from sureclose.streams.clock import LogClock
from sureclose.streams.codec import CodecRules
from sureclose.streams.connection import Log
from sureclose.venue.clock import steady_seconds, wall_ms
from sureclose.venue.environments import VenueSettings
from sureclose.venue.rest import BinanceRest
from sureclose.venue.secret import Credentials, Secret


def load(options: Options) -> Config:
    """The configuration that the command line asks for; raises ``ConfigError``."""
    return configuration.load(options.files)


def actor() -> str:
    """Who asks: the person behind sudo, else the user of this process."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


def hosts_paper(config: Config) -> bool:
    """Whether the paper exchange is ours to start."""
    return config.venue.environment is Mode.PAPER and not config.venue.base_url


@asynccontextmanager
async def opened(options: Options, name: str, *, may_start: bool) -> AsyncIterator[Session]:
    """A session for the command ``name``. Without ``may_start`` it only attaches, and raises ``NotRunning``."""
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
    )
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(Host(wanted, may_start=may_start, monotonic=time.monotonic))
        log = await stack.enter_async_context(Log(config.redis, address=host.runtime.log_url or None))
        await log.check()
        clock = LogClock(wall_ms, steady_seconds)
        await clock.measure(log.commands())
        settings, keys = _venue(config, host)
        venue = await stack.enter_async_context(_rest(settings, keys))
        yield Session(
            log=log,
            host=host,
            streams=config.streams,
            execution=config.execution,
            keeping=config.journal,
            http=config.http,
            alerts=config.alerts,
            venue_settings=settings,
            credentials=keys,
            venue=venue,
            keys=Keys(config.streams.prefix, config.account),
            wiring=Wiring(
                config.streams,
                CodecRules(config.venue.environment, config.compat.execute_is_approval),
                producer(name),
            ),
            folder=config.data_dir,
            mode_source=configuration.source(options.files, "venue", "environment"),
            clock=clock,
            monotonic=steady_seconds,
        )


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
