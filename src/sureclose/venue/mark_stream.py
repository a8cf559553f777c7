"""Mark prices as the venue tells them, once a second, of the symbols in which something is open.

Source of the shapes: Binance docs, market streams, mark price stream (``<symbol>@markPrice@1s``) and live subscribing.
"""

import asyncio
import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import aiohttp
import msgspec
import structlog
from yarl import URL

from sureclose.domain.safety import Mark
from sureclose.venue.clock import steady_seconds
from sureclose.venue.environments import VenueSettings, addresses

_PATH: Final = "/market/ws"
"""Market data flows under /market (Binance change log 2026-03-05)."""
_FRAME_LIMIT: Final = 1024 * 1024
_CONNECT_S: Final = 10.0
_LOOK_S: Final = 1.0
"""Between two looks at which symbols are wanted."""
_SILENT_S: Final = 10.0
"""A connection with subscriptions that tells nothing for so long is of no use: each symbol is told once a second."""
_AT_ONCE: Final = 100
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0

_log = structlog.get_logger(__name__)


class _Told(msgspec.Struct, frozen=True):
    e: str = ""
    s: str = ""
    p: Decimal = Decimal(0)
    E: int = 0


_told = msgspec.json.Decoder(_Told)


def read_mark(frame: str | bytes) -> tuple[str, Mark] | None:
    """The symbol and its price; ``None`` for what is no mark price. Raises ``ValueError`` for what can't be read."""
    try:
        told = _told.decode(frame)
    except msgspec.DecodeError as error:
        raise ValueError(f"not a frame of a mark price stream: {error}") from None
    if told.e != "markPriceUpdate":
        return None
    if not told.p.is_finite():
        raise ValueError(f"the mark price of {told.s} is {told.p}")
    return told.s, Mark(told.p, told.E)


class MarkStream:
    """Calls ``hear`` with each price, over as many connections as it takes; none while no symbol is wanted.

    ``wanted`` is asked every second. ``chance`` gives numbers in [0, 1) for the jitter of reconnects, ``steady`` is a clock
    in seconds that nobody sets. It owes nothing: prices are polled as well.
    """

    def __init__(
        self,
        settings: VenueSettings,
        wanted: Callable[[], frozenset[str]],
        hear: Callable[[str, Mark], None],
        *,
        chance: Callable[[], float] = random.random,
        steady: Callable[[], float] = steady_seconds,
    ) -> None:
        self._url = URL(addresses(settings).stream + _PATH, encoded=True)
        self._wanted = wanted
        self._hear = hear
        self._chance = chance
        self._steady = steady

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``; to be supervised. Faults of network and venue end a connection, and the next is made."""
        failures = 0
        stopping = asyncio.create_task(stop.wait(), name="venue-marks-stop")
        try:
            async with aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, headers={"User-Agent": "sureclose"}
            ) as session:
                while not stopping.done():
                    if not self._wanted():
                        await asyncio.wait({stopping}, timeout=_LOOK_S)
                        continue
                    heard, reason = await self._connection(session, stopping)
                    failures = 0 if heard else failures + 1
                    _log.info("venue_marks_down", reason=reason)
                    pause = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** min(failures, 10))
                    await asyncio.wait({stopping}, timeout=pause * (0.5 + self._chance() / 2))
        finally:
            stopping.cancel()

    async def _connection(
        self, session: aiohttp.ClientSession, stopping: asyncio.Task[Any]
    ) -> tuple[bool, str]:
        """One connection; whether anything was heard on it, and why it ended."""
        heard = False
        try:
            async with asyncio.timeout(_CONNECT_S):
                socket = await session.ws_connect(
                    self._url, max_msg_size=_FRAME_LIMIT, timeout=aiohttp.ClientWSTimeout(ws_close=2.0)
                )
        except (aiohttp.ClientError, OSError) as error:
            return heard, f"no connection: {type(error).__name__}"
        receiving = asyncio.create_task(socket.receive(), name="venue-marks-receive")
        subscribed: frozenset[str] = frozenset()
        heard_at = self._steady()
        try:
            while True:
                subscribed = await self._subscribe(socket, subscribed)
                await asyncio.wait(
                    {receiving, stopping}, timeout=_LOOK_S, return_when=asyncio.FIRST_COMPLETED
                )
                if stopping.done():
                    return heard, "stopped"
                if not receiving.done():
                    if subscribed and self._steady() - heard_at > _SILENT_S:
                        return heard, "silent"
                    continue
                message = receiving.result()
                if message.type not in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}:
                    return heard, f"closed by the other side: {message.type.name}"
                if self._take(message.data):
                    heard, heard_at = True, self._steady()
                receiving = asyncio.create_task(socket.receive(), name="venue-marks-receive")
        except (aiohttp.ClientError, ConnectionError) as error:
            return heard, f"connection broken: {type(error).__name__}"
        finally:
            receiving.cancel()
            await asyncio.wait({receiving})
            await socket.close()

    async def _subscribe(
        self, socket: aiohttp.ClientWebSocketResponse, subscribed: frozenset[str]
    ) -> frozenset[str]:
        wanted = self._wanted()
        for method, symbols in (("SUBSCRIBE", wanted - subscribed), ("UNSUBSCRIBE", subscribed - wanted)):
            names = [f"{symbol.lower()}@markPrice@1s" for symbol in sorted(symbols)]
            for first in range(0, len(names), _AT_ONCE):
                some = names[first : first + _AT_ONCE]
                request = {"method": method, "params": some, "id": first + 1}
                await socket.send_str(msgspec.json.encode(request).decode())
        return wanted

    def _take(self, frame: str | bytes) -> bool:
        try:
            found = read_mark(frame)
        except ValueError as error:
            _log.warning("venue_marks_frame_broken", reason=str(error))
            return False
        if found is None:
            return False
        self._hear(*found)
        return True
