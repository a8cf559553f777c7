"""The exchange as a whole: one port that speaks REST, streams and the WebSocket API."""

import asyncio
import contextlib
import secrets
import socket
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

import structlog
from aiohttp import web

from sureclose.paper.call import House
from sureclose.paper.clock import VenueClock
from sureclose.paper.desk import Desk
from sureclose.paper.factfile import FactFile
from sureclose.paper.facts import AnyFact, Founded
from sureclose.paper.faults import Faults
from sureclose.paper.gate import Gate
from sureclose.paper.late import Latecomers
from sureclose.paper.limits import Limits
from sureclose.paper.listen_keys import ListenKeys
from sureclose.paper.market_streams import MarketStreams
from sureclose.paper.prices import Prices
from sureclose.paper.settings import PaperSettings, SettingsError
from sureclose.paper.symbols import catalogue
from sureclose.paper.user_stream import UserStreams, is_stream_path
from sureclose.paper.ws_api import PATH as WS_API_PATH
from sureclose.paper.ws_api import WsApi

_TICK_S = 0.25
_KEEP_ALIVE_S = 75.0
_BACKLOG = 1024

log = structlog.get_logger("sureclose.paper")


def wall_clock() -> int:
    """The time in ms since the epoch."""
    return time.time_ns() // 1_000_000


class PaperExchange:
    """`async with PaperExchange(settings) as exchange:` serves until the block ends.

    `desk` and `faults` are for tests in the same process; everyone else comes through the doors at `rest`,
    `stream` and `ws_api` with `api_key` and `api_secret`. SettingsError says why it can't start.
    """

    def __init__(
        self, settings: PaperSettings | None = None, *, clock: Callable[[], int] = wall_clock
    ) -> None:
        self.settings = settings or PaperSettings()
        self._clock = VenueClock(clock)
        self._file: FactFile | None = None
        self._stack = contextlib.AsyncExitStack()
        self._port = 0
        self._is_fresh = False
        self.faults = Faults(self.settings.seed)

    @property
    def rest(self) -> str:
        return f"http://{self._address}"

    @property
    def stream(self) -> str:
        return f"ws://{self._address}"

    @property
    def ws_api(self) -> str:
        return f"ws://{self._address}{WS_API_PATH}"

    @property
    def _address(self) -> str:
        host = self.settings.host
        return f"[{host}]:{self._port}" if ":" in host else f"{host}:{self._port}"

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            listening = self._bind(stack)
            self._found(stack)
            await self._serve(stack, listening)
            self._stack = stack.pop_all()
        log.info(
            "paper exchange started",
            rest=self.rest,
            orders=len(self.desk.ledger.orders),
            seeded=self._is_fresh,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()
        log.info("paper exchange stopped", rest=self.rest, orders=len(self.desk.ledger.orders))

    def _found(self, stack: contextlib.ExitStack | contextlib.AsyncExitStack) -> None:
        """The books: from the data file, or new with the seeded positions."""
        settings = self.settings
        history: list[list[AnyFact]] = []
        if settings.data is not None:
            self._file = FactFile(settings.data)
            stack.callback(self._file.close)
            history = list(self._file.replay())
        past = history[0][0] if history else None
        seed, symbols = settings.seed, settings.symbols
        if isinstance(past, Founded):
            seed, symbols = past.seed, max(symbols, past.symbols)
        contracts = catalogue(symbols, seed)
        prices = Prices(contracts, self._clock, seed, settings.price_step_ppm)
        self.desk = Desk(settings, contracts, prices, self._clock, self._file)
        self.desk.replay(history)
        given = (settings.api_key, settings.api_secret)
        founded = self.desk.ledger.founded
        if founded is None:
            key, secret = given if all(given) else (secrets.token_hex(32), secrets.token_hex(32))
            assert key is not None
            assert secret is not None
            founded = Founded(self._clock(), seed, symbols, key, secret, settings.balance)
            self.desk.found(founded, settings.positions)
            self._is_fresh = True
        self.api_key, self.api_secret = founded.api_key, founded.api_secret
        if given[0] and given[1]:
            self.api_key, self.api_secret = given[0], given[1]

    def _bind(self, stack: contextlib.AsyncExitStack) -> socket.socket:
        """The port comes first: one that is taken must leave no data file behind."""
        host, port = self.settings.host, self.settings.port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            listening = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        except OSError as error:
            raise SettingsError(
                f"port {port} on {host} can't be opened ({error.strerror}): choose another with --port, or 0 for a free one"
            ) from error
        stack.callback(listening.close)
        self._port = int(listening.getsockname()[1])
        return listening

    async def _serve(self, stack: contextlib.AsyncExitStack, listening: socket.socket) -> None:
        settings = self.settings
        limits = Limits(enforced=settings.limits == "real")
        self._late = Latecomers(self._clock)
        stack.callback(self._late.close)
        house = House(
            self.desk,
            self.faults,
            limits,
            ListenKeys(),
            self.api_key,
            self.api_secret,
            self._clock,
            self._late,
        )
        self.gate = Gate(house, self._clock)
        self.streams = UserStreams(house)
        self.desk.announce = self.streams.announce
        self._market = MarketStreams(self.desk)
        house.tell_marks = lambda: self._market.tell_marks(list(self.streams.listeners), self._clock())
        api = WsApi(house, self._clock)
        runner = web.ServerRunner(
            web.Server(self._dispatcher(api), access_log=None, keepalive_timeout=_KEEP_ALIVE_S),
            shutdown_timeout=0.2,
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.SockSite(runner, listening, backlog=_BACKLOG).start()
        stack.push_async_callback(api.close)
        stack.push_async_callback(self.streams.close)
        ticker = asyncio.create_task(self._tick(), name="paper ticker")
        stack.push_async_callback(_stop, ticker)

    def _dispatcher(self, api: WsApi) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
        async def dispatch(request: web.BaseRequest) -> web.StreamResponse:
            path = request.raw_path.partition("?")[0]
            if path == WS_API_PATH:
                return await api.handle(request)
            if is_stream_path(path):
                return await self.streams.handle(request)
            return await self.gate.handle(request)

        return dispatch

    async def _tick(self) -> None:
        """What time alone brings about: resting fills, expiries, market streams."""
        told = 0
        while True:
            await asyncio.sleep(_TICK_S)
            try:
                told = self._pulse(told)
            except Exception:
                log.exception("paper exchange bug", where="ticker")

    def _pulse(self, told: int) -> int:
        self._late.run_due()
        now = self._clock()
        self.desk.sweep()
        self.streams.expire_keys(now)
        second = now // 1000
        if second != told and self.streams.listeners:
            self._market.tick(list(self.streams.listeners), now)
        return second


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
