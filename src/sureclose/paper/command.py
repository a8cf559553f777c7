"""`sureclose paper`: the exchange as a process of its own."""

import asyncio
import ctypes
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Literal

import click
import structlog

from sureclose.paper.server import PaperExchange
from sureclose.paper.settings import PaperSettings, SeedPosition, SettingsError
from sureclose.paper.wire import encode

EXIT_SETTINGS = 4
_PR_SET_PDEATHSIG = 1


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=0, show_default=True, help="Port to listen on; 0 takes a free one.")
@click.option(
    "--position",
    "positions",
    multiple=True,
    metavar="SYM=AMT@ENTRY",
    help="A position to start with, e.g. ETHUSDT=0.5@2400; negative is short. Only a fresh exchange takes it.",
)
@click.option("--symbols", default=0, metavar="N", help="List made-up contracts until there are N.")
@click.option(
    "--limits",
    type=click.Choice(["real", "off"]),
    default="off",
    show_default=True,
    help="Whether Binance's rate limits refuse anything.",
)
@click.option("--seed", default=1, show_default=True, help="Seed of prices and made-up contracts.")
@click.option(
    "--data",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File that outlives the process; a killed exchange comes back from it.",
)
@click.option(
    "--parent-death",
    type=int,
    is_flag=False,
    flag_value=0,
    metavar="[PID]",
    hidden=True,
    help="Stop when the parent process ends.",
)
def paper(
    host: str,
    port: int,
    positions: tuple[str, ...],
    symbols: int,
    limits: Literal["real", "off"],
    seed: int,
    data: Path | None,
    parent_death: int | None,
) -> None:
    """Run a local exchange that speaks Binance's USD-M futures protocol.

    Prints one line of JSON with its addresses and keys when it is ready, and serves until SIGTERM or SIGINT.
    API key and secret come from SURECLOSE__VENUE__API_KEY and SURECLOSE__VENUE__API_SECRET, else from the data
    file, else they are made up.
    """
    if parent_death is not None:
        die_with_parent(parent_death)
    _log_to_stderr()
    try:
        settings = PaperSettings(
            host=host,
            port=_port(port),
            positions=tuple(SeedPosition.parse(text) for text in positions),
            symbols=_count(symbols),
            limits=limits,
            seed=seed,
            data=data,
            api_key=os.environ.get("SURECLOSE__VENUE__API_KEY") or None,
            api_secret=os.environ.get("SURECLOSE__VENUE__API_SECRET") or None,
        )
        asyncio.run(_serve(settings))
    except SettingsError as error:
        click.echo(f"sureclose paper: {error}", err=True)
        sys.exit(EXIT_SETTINGS)


async def _serve(settings: PaperSettings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with PaperExchange(settings) as exchange:
        ready = {
            "ready": True,
            "rest": exchange.rest,
            "stream": exchange.stream,
            "ws_api": exchange.ws_api,
            "api_key": exchange.api_key,
            "api_secret": exchange.api_secret,
        }
        sys.stdout.write(encode(ready).decode() + "\n")
        sys.stdout.flush()
        await stop.wait()


def die_with_parent(expected: int = 0) -> None:
    """Have the kernel send SIGTERM when the parent ends; end now if it already has.

    `expected` is the parent's process id; 0 takes the one of now, which can't tell a parent that was gone before.
    """
    parent = expected or os.getppid()
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        sys.exit(0)


def _port(port: int) -> int:
    if not 0 <= port <= 65535:
        raise SettingsError(f"port {port} does not exist: choose one from 0 (a free one) to 65535")
    return port


def _count(symbols: int) -> int:
    if not 0 <= symbols <= 9999:
        raise SettingsError(f"--symbols {symbols} is out of range: choose a number up to 9999")
    return symbols


def _log_to_stderr() -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
