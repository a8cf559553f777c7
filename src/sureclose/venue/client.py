"""The signed client beneath the port: pools, clock, limits, and what an answer means for a read."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self, TypeVar

import msgspec
import structlog

from sureclose.venue.clock import SANE_MS, Sample, VenueClock
from sureclose.venue.codes import INVALID_TIMESTAMP
from sureclose.venue.environments import VenueSettings, addresses
from sureclose.venue.errors import VenueError, VenueUnreachable, ban_ms, read_body
from sureclose.venue.limits import Limits, retry_after_ms
from sureclose.venue.port import Purpose
from sureclose.venue.schemas import ServerTime
from sureclose.venue.secret import Credentials
from sureclose.venue.signing import Signer
from sureclose.venue.transport import ORDER_ANSWER_LIMIT, READ_ANSWER_LIMIT, Answer, Http, NotConnected

TIME: Final = "/fapi/v1/time"

_OBSERVE_PATIENCE_MS: Final = 61_000
"""A read that observes waits for the next minute's weight, and no longer."""

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
        self._measuring = asyncio.Lock()
        self._order_http: Http | None = None
        self._read_http: Http | None = None

    async def __aenter__(self) -> Self:
        settings = self.settings
        headers = {"X-MBX-APIKEY": self.credentials.api_key.reveal()}
        self._order_http = Http(
            self._base,
            headers={**headers, "Accept-Encoding": "identity"},
            connections=settings.order_connections + 1,  # one more for the clock, which keeps the pool warm
            keep_alive_s=settings.keep_alive_ms / 1000,
            connect_timeout_ms=settings.connect_timeout_ms,
            total_timeout_ms=settings.order_timeout_ms,
            answer_limit=ORDER_ANSWER_LIMIT,
        )
        self._read_http = Http(
            self._base,
            headers=headers,
            connections=settings.read_connections,
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
        """Measure the clock at intervals until ``stop``; that also keeps a connection warm. To be supervised."""
        while not stop.is_set():
            try:
                await self.measure_clock()
            except VenueError as error:
                _log.warning("venue_clock_not_measured", reason=str(error))
            try:
                await asyncio.wait_for(stop.wait(), self.settings.clock_interval_ms / 1000)
            except TimeoutError:
                continue

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
        await self.patience(Purpose.CLOSE)
        sent = self.steady()
        answer = await http.get(TIME)
        received = self.steady()
        server_ms = decode(ServerTime, self.accepted(TIME, answer), TIME).server_time
        if server_ms not in SANE_MS:
            raise VenueUnreachable(f"{TIME}: {server_ms} is no time in milliseconds")
        return Sample(sent, received, server_ms)

    # reads

    async def ask(
        self,
        shape: type[_Answered],
        path: str,
        query: list[tuple[str, str]],
        *,
        purpose: Purpose = Purpose.CLOSE,
    ) -> _Answered:
        """One signed GET, decoded."""
        return decode(shape, (await self.read(path, query, purpose)).body, path)

    async def read(self, path: str, query: list[tuple[str, str]], purpose: Purpose) -> Reply:
        """One signed GET."""
        http = self.reads
        await self.patience(purpose)
        await self.clock_ready()
        requested_at = self.clock.earliest()
        window = str(self.settings.read_recv_window_ms)
        signed = self.signer.sign([*query, ("recvWindow", window), ("timestamp", str(self.clock.now()))])
        answer = await http.get(f"{path}?{signed}")
        return Reply(self.accepted(path, answer), requested_at)

    async def unsigned(self, method: str, path: str) -> bytes:
        """One request without a signature, which changes nothing that a repetition would double."""
        http = self.reads
        await self.patience(Purpose.CLOSE)
        return self.accepted(path, await http.request(method, path))

    async def patience(self, purpose: Purpose) -> None:
        """Wait while the limits ask for it; raises ``VenueError`` when that is too long."""
        left = self.settings.read_timeout_ms if purpose is Purpose.CLOSE else _OBSERVE_PATIENCE_MS
        while (wait := self.limits.read_wait_ms(purpose)) > 0:
            if wait > left:
                raise VenueError(f"the venue asks for {wait} ms of patience", retry_after_ms=wait)
            left -= wait
            await asyncio.sleep(wait / 1000)

    def accepted(self, path: str, answer: Answer) -> bytes:
        """The body of a good answer; raises what any other answer means for a read."""
        self.limits.note(answer.status, answer.headers)
        if 200 <= answer.status < 300:
            return answer.body
        error = read_body(answer.body)
        wait = retry_after_ms(answer.headers)
        if answer.status in (418, 429):
            wait = max(wait, ban_ms(error.message, self.about_now()))
            self.limits.refused(answer.status, error.code, wait)
        if error.code == INVALID_TIMESTAMP:
            self.clock.doubt()
        said = self.credentials.scrub(error.message) or "no readable message"
        code = "" if error.code is None else f", code {error.code}"
        kind = VenueError if error.code is not None and 400 <= answer.status < 500 else VenueUnreachable
        raise kind(
            f"{path}: HTTP {answer.status}{code}, {said}",
            http_status=answer.status,
            code=error.code,
            retry_after_ms=wait,
        )


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
