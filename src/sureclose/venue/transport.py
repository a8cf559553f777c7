"""HTTP as the venue room needs it: one request, one answer, and certainty about what was not sent."""

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace, TracebackType
from typing import Final, Self

import aiohttp
import msgspec
from yarl import URL

from sureclose import fault_points
from sureclose.fault_points import FaultPoint, reach
from sureclose.venue.errors import VenueUnreachable

ORDER_ANSWER_LIMIT: Final = 256 * 1024
"""No answer to one order is larger; what is, is not read on."""

READ_ANSWER_LIMIT: Final = 64 * 1024 * 1024
"""exchangeInfo and positions of all symbols are the largest answers, a few megabytes."""

_CHUNK: Final = 64 * 1024
_NOTHING_SENT: Final = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientConnectorSSLError,
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ServerFingerprintMismatch,
    aiohttp.ConnectionTimeoutError,
)
"""What aiohttp raises while it makes the connection (DNS, TCP, TLS, its own pool), so before the request is written."""


class NotConnected(VenueUnreachable):
    """There was no connection, so no byte of the request was sent. Check address, DNS and network."""


class NoAnswer(VenueUnreachable):
    """The request may have arrived, but no whole answer came back."""


class Answer(msgspec.Struct, frozen=True):
    """A whole answer of whatever status."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Http:
    """One keep-alive pool of its own to one address: no cookies, no redirects, no environment, no proxies.

    aiohttp sends a request again, once, when a kept connection turns out to be dead, but only for methods that it
    holds idempotent (``aiohttp.client.IDEMPOTENT_METHODS``: GET and PUT among them, POST not). For reads that is
    welcome; that it never happens to an order, a test holds in place.
    """

    def __init__(
        self,
        base: str,
        *,
        headers: dict[str, str],
        connections: int,
        keep_alive_s: float,
        connect_timeout_ms: int,
        total_timeout_ms: int,
        answer_limit: int,
    ) -> None:
        self._base = base
        self._limit = answer_limit
        self._total_ms = total_timeout_ms
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=connections,
                keepalive_timeout=keep_alive_s,
                ttl_dns_cache=60,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "sureclose", **headers},
            timeout=aiohttp.ClientTimeout(
                total=total_timeout_ms / 1000,
                connect=connect_timeout_ms / 1000,
                sock_connect=connect_timeout_ms / 1000,
                ceil_threshold=float("inf"),
            ),
            trust_env=False,
            trace_configs=_traces(),
            raise_for_status=False,
            requote_redirect_url=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._session.close()

    @property
    def closed(self) -> bool:
        return self._session.closed

    async def get(self, target: str) -> Answer:
        """One GET of a path with its finished query."""
        return await self.request("GET", target)

    async def post_form(self, target: str, body: bytes) -> Answer:
        """One POST of a finished form body."""
        return await self.request("POST", target, body)

    async def request(self, method: str, target: str, body: bytes | None = None) -> Answer:
        """One request; raises ``NotConnected`` or ``NoAnswer``, whose texts never contain the target's query."""
        if self.closed:
            raise NotConnected("the client is closed")
        try:
            async with self._session.request(
                method,
                URL(self._base + target, encoded=True),
                data=body,
                headers=_FORM if body is not None else None,
                allow_redirects=False,
            ) as response:
                return Answer(response.status, response.headers, await self._read(response))
        except NoAnswer:
            raise
        except _NOTHING_SENT as error:
            raise NotConnected(f"no connection to {self._base}: {_why(error)}") from None
        except TimeoutError:
            raise NoAnswer(f"no answer within {self._total_ms} ms") from None
        except Exception as error:  # noqa: BLE001 - whatever broke after the connecting, the outcome is unknown
            raise NoAnswer(f"no whole answer: {_why(error)}") from None

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        """The body, up to the limit; a connection with an oversized answer is closed, not drained."""
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.content.iter_chunked(_CHUNK):
            size += len(chunk)
            if size > self._limit:
                response.close()
                raise NoAnswer(f"the answer exceeds {self._limit} bytes")
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _traces() -> list[aiohttp.TraceConfig]:
    """None, unless a test watches the fault points: aiohttp alone knows when the body of an order is written."""
    if not fault_points.watching():
        return []

    async def written(
        _session: aiohttp.ClientSession, _trace: SimpleNamespace, _chunk: aiohttp.TraceRequestChunkSentParams
    ) -> None:
        """aiohttp tells it just before, and then writes without a pause."""
        asyncio.get_running_loop().call_soon(reach, FaultPoint.AFTER_BYTES)

    traces = aiohttp.TraceConfig()
    traces.on_request_chunk_sent.append(written)
    return [traces]


_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}


def _why(error: BaseException) -> str:
    """The kind of failure without addresses or payloads, which an exception's text may contain."""
    inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    detail = f" ({inner.strerror})" if isinstance(inner, OSError) and inner.strerror else ""
    return type(error).__name__ + detail
