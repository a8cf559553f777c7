"""The signed client beneath the port: pools, clock, limits, and what an answer means for a read."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Final, Self, TypeVar

import msgspec
import structlog

from sureclose.domain.market import Class
from sureclose.fault_points import FaultPoint, reach
from sureclose.venue.clock import SANE_MS, Sample, VenueClock
from sureclose.venue.codes import CODES, INVALID_TIMESTAMP
from sureclose.venue.endpoints import ORDER, PING, TIME, Endpoint
from sureclose.venue.environments import VenueSettings, addresses
from sureclose.venue.errors import VenueError, VenueUnreachable, ban_ms, read_body
from sureclose.venue.limits import Limits, retry_after_ms
from sureclose.venue.port import Purpose
from sureclose.venue.schemas import ServerTime
from sureclose.venue.secret import Credentials
from sureclose.venue.signing import Signer
from sureclose.venue.transport import ORDER_ANSWER_LIMIT, READ_ANSWER_LIMIT, Answer, Http, NotConnected

_TIDY_PATIENCE_MS: Final = 1_000
"""How long what follows a close waits for weight: an outcome waits with it."""
_OBSERVE_PATIENCE_MS: Final = 61_000
"""A read that observes waits for the next minute's weight, and no longer."""

_NO_HEADERS: Final[Mapping[str, str]] = {}

_log = structlog.get_logger(__name__)
_Answered = TypeVar("_Answered")


class Reply(msgspec.Struct, frozen=True):
    """A good answer to a read, and a venue time that had passed before the read left."""

    body: bytes
    requested_at: int


class SignedClient:
    """Two pools, so that no read ever stands before an order, and one clock and one budget for both.

    ``wall`` is the local time in milliseconds, ``steady`` a clock in seconds that nobody sets. Raises ``ValueError``
    for addresses or keys that can't be.
    """

    def __init__(
        self,
        settings: VenueSettings,
        credentials: Credentials,
        *,
        wall: Callable[[], int],
        steady: Callable[[], float],
    ) -> None:
        key = credentials.api_key.reveal()
        if not key or not credentials.api_secret or not key.isascii() or not key.isalnum():
            raise ValueError(
                "API key or secret is missing or malformed; set SURECLOSE__VENUE__API_KEY and SURECLOSE__VENUE__API_SECRET"
            )
        self.settings = settings
        self.credentials = credentials
        self.signer = Signer(credentials.api_secret)
        self.clock = VenueClock(wall, steady)
        self.steady = steady
        self._wall = wall
        self.limits = Limits(
            self.about_now,
            steady,
            weight_limit=settings.weight_limit,
            observe_share=settings.observe_share,
            counted=settings.count_limits,
        )
        self._base = addresses(settings).rest
        self._observing = asyncio.Semaphore(_observers(settings))
        self._measuring = asyncio.Lock()
        self.only_observes = False
        """Whether every read gives way to those that close, whoever makes it."""
        self.transport: type[Http] = Http
        """What connections are made with when the client is opened."""
        self._order_http: Http | None = None
        self._read_http: Http | None = None

    async def __aenter__(self) -> Self:
        settings = self.settings
        headers = {"X-MBX-APIKEY": self.credentials.api_key.reveal()}
        self._order_http = self.transport(
            self._base,
            headers={**headers, "Accept-Encoding": "identity"},
            # room for the clock and for the pings, so that no order waits for one of them
            connections=settings.order_connections + 1 + settings.warm_connections,
            keep_alive_s=settings.keep_alive_ms / 1000,
            connect_timeout_ms=settings.connect_timeout_ms,
            total_timeout_ms=settings.order_timeout_ms,
            answer_limit=ORDER_ANSWER_LIMIT,
        )
        self._read_http = self.transport(
            self._base,
            headers=headers,
            # room for those that observe, so that no read that closes waits for one of them
            connections=settings.read_connections + _observers(settings),
            keep_alive_s=settings.keep_alive_ms / 1000,
            connect_timeout_ms=settings.read_timeout_ms,
            total_timeout_ms=settings.read_timeout_ms,
            answer_limit=READ_ANSWER_LIMIT,
        )
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        for http in (self._order_http, self._read_http):
            if http is not None:
                await http.close()

    @property
    def orders(self) -> Http:
        """The pool that orders go through."""
        return _opened(self._order_http)

    @property
    def reads(self) -> Http:
        """The pool of everything else."""
        return _opened(self._read_http)

    # the clock

    def about_now(self) -> int:
        """Venue milliseconds, or the wall clock's as long as the venue has never answered: for windows and waits."""
        return self.clock.now() if self.clock.measured else self._wall()

    async def server_time(self) -> int:
        """The venue's time by one read, which the estimate takes in too."""
        sample = await self._sample(self.reads)
        self.clock.add([sample])
        return sample.server_ms

    async def measure_clock(self) -> None:
        """One round of samples over an order connection; raises ``VenueError`` when none succeeds."""
        async with self._measuring:
            await self._measure()

    async def clock_ready(self) -> None:
        """Measure the clock if it is unknown or in doubt."""
        if not self.clock.trusted:
            async with self._measuring:
                if not self.clock.trusted:
                    await self._measure()

    async def maintain(self, stop: asyncio.Event) -> None:
        """Measure the clock and keep order connections open, at intervals until ``stop``. To be supervised."""
        while not stop.is_set():
            try:
                await self.measure_clock()
            except VenueError as error:
                _log.warning("venue_clock_not_measured", reason=str(error))
            else:
                await self._keep_warm()
            try:
                await asyncio.wait_for(stop.wait(), self.settings.clock_interval_ms / 1000)
            except TimeoutError:
                continue

    async def _keep_warm(self) -> None:
        """Pings that are all under way at once, so that each takes a connection of its own; not when weight is scarce."""
        pings = self.settings.warm_connections
        if self.limits.read_wait_ms(Purpose.OBSERVE, pings * PING.weight) > 0:
            return
        requests = (self._fetch(self.orders, "GET", PING, PING.path) for _ in range(pings))
        for outcome in await asyncio.gather(*requests, return_exceptions=True):
            if isinstance(outcome, VenueError):
                _log.warning("venue_connection_not_warm", reason=str(outcome))
            elif isinstance(outcome, BaseException):
                raise outcome

    async def _measure(self) -> None:
        samples: list[Sample] = []
        for _ in range(self.settings.clock_samples):
            try:
                samples.append(await self._sample(self.orders))
            except VenueError:
                if not samples:
                    raise
                break
        self.clock.add(samples)

    async def _sample(self, http: Http) -> Sample:
        async with self._turn(Purpose.CLOSE, TIME):
            sent = self.steady()
            body = await self._fetch(http, "GET", TIME, TIME.path)
            received = self.steady()
        server_ms = decode(ServerTime, body, TIME.path).server_time
        if server_ms not in SANE_MS:
            raise VenueUnreachable(f"{TIME.path}: {server_ms} is no time in milliseconds")
        return Sample(sent, received, server_ms)

    # orders

    async def post_order(self, parameters: list[tuple[str, str]]) -> Answer:
        """Send one order, now: nothing here waits before the POST. Raises ``NotConnected`` or ``NoAnswer``."""
        body = self.signer.sign(parameters).encode()
        sent_at, headers, orders = self.about_now(), _NO_HEADERS, 1
        try:
            reach(FaultPoint.BEFORE_SEND)
            answer = await self.orders.post_form(ORDER.path, body)
            reach(FaultPoint.AFTER_ANSWER)
            headers = answer.headers
        except NotConnected:
            orders = 0
            raise
        finally:
            self.limits.note(headers, sent_at=sent_at, orders=orders)
        self._heed(answer, orders=1)
        return answer

    # reads

    async def ask(
        self,
        shape: type[_Answered],
        endpoint: Endpoint,
        query: list[tuple[str, str]],
        *,
        purpose: Purpose = Purpose.CLOSE,
        method: str = "GET",
    ) -> _Answered:
        """One signed request, decoded; any method but POST, which has a way of its own."""
        reply = await self.read(endpoint, query, purpose, method=method)
        return decode(shape, reply.body, endpoint.path)

    async def read(
        self, endpoint: Endpoint, query: list[tuple[str, str]], purpose: Purpose, *, method: str = "GET"
    ) -> Reply:
        """One signed request."""
        http = self.reads
        await self.clock_ready()
        async with self._turn(purpose, endpoint):
            requested_at = self.clock.earliest()
            window = str(self.settings.read_recv_window_ms)
            signed = self.signer.sign([*query, ("recvWindow", window), ("timestamp", str(self.clock.now()))])
            return Reply(await self._fetch(http, method, endpoint, f"{endpoint.path}?{signed}"), requested_at)

    async def unsigned(
        self, method: str, endpoint: Endpoint, purpose: Purpose = Purpose.CLOSE, query: str = ""
    ) -> bytes:
        """One request without a signature, which changes nothing that a repetition would double."""
        http, target = self.reads, f"{endpoint.path}?{query}" if query else endpoint.path
        async with self._turn(purpose, endpoint):
            return await self._fetch(http, method, endpoint, target)

    @asynccontextmanager
    async def _turn(self, purpose: Purpose, endpoint: Endpoint) -> AsyncIterator[None]:
        """Wait while the limits ask for it, at most as long as such a read may; then its weight counts as under way.

        Raises ``VenueError`` when the wait is too long, without waiting.
        """
        if self.only_observes:
            purpose = Purpose.OBSERVE
        left = self.settings.read_timeout_ms if purpose is Purpose.CLOSE else _TIDY_PATIENCE_MS
        async with AsyncExitStack() as stack:
            if purpose is Purpose.OBSERVE:
                left = _OBSERVE_PATIENCE_MS
                try:
                    async with asyncio.timeout(left / 1000):
                        await stack.enter_async_context(self._observing)
                except TimeoutError:
                    busy = "too many reads that observe are waiting"
                    raise VenueError(busy, retry_after_ms=left) from None
            while (wait := self.limits.read_wait_ms(purpose, endpoint.weight)) > 0:
                if wait > left:
                    raise VenueError(f"the venue asks for {wait} ms of patience", retry_after_ms=wait)
                left -= wait
                await asyncio.sleep(wait / 1000)
            self.limits.began(endpoint.weight)
            stack.callback(self.limits.ended, endpoint.weight)
            yield

    async def _fetch(self, http: Http, method: str, endpoint: Endpoint, target: str) -> bytes:
        """The body of a good answer to one request; raises what any other answer means for a read."""
        sent_at, headers, weight = self.about_now(), _NO_HEADERS, endpoint.weight
        try:
            answer = await http.request(method, target)
            headers = answer.headers
        except NotConnected:
            weight = 0
            raise
        finally:
            self.limits.note(headers, sent_at=sent_at, weight=weight)
        wait = self._heed(answer)
        if 200 <= answer.status < 300:
            return answer.body
        error = read_body(answer.body)
        said = self.credentials.scrub(error.message) or "no readable message"
        code = "" if error.code is None else f", code {error.code}"
        kind = VenueError if error.code is not None and 400 <= answer.status < 500 else VenueUnreachable
        raise kind(
            f"{endpoint.path}: HTTP {answer.status}{code}, {said}",
            http_status=answer.status,
            code=error.code,
            retry_after_ms=wait,
        )

    def _heed(self, answer: Answer, *, orders: int = 0) -> int:
        """What any answer says of limits and clock; returns the patience that it asks for, in milliseconds."""
        if 200 <= answer.status < 300:
            self.limits.served(orders=orders)
            return 0
        error = read_body(answer.body)
        row = CODES.get(error.code) if error.code is not None else None
        if error.code == INVALID_TIMESTAMP:
            self.clock.doubt()
        if answer.status in (418, 429) or (row is not None and row.kind is Class.WAIT):
            told = max(retry_after_ms(answer.headers), ban_ms(error.message, self.about_now()))
            self.limits.refused(answer.status, error.code, told)
            return max(told, self.limits.blocked_ms())
        if answer.status < 500:
            self.limits.served(orders=orders)
        return 0


def _observers(settings: VenueSettings) -> int:
    """How many reads that observe may be in flight."""
    return max(1, settings.read_connections // 2)


def decode(shape: type[_Answered], body: bytes, path: str) -> _Answered:
    """A good answer's body; raises ``VenueUnreachable`` when it is unreadable."""
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        # a validation error names fields and types; other errors may quote the body
        where = str(error) if isinstance(error, msgspec.ValidationError) else type(error).__name__
        raise VenueUnreachable(f"{path}: the answer is unreadable: {where}") from None


def _opened(http: Http | None) -> Http:
    if http is None:
        raise NotConnected("the client is not open; use it as an asynchronous context manager")
    return http
