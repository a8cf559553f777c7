"""Where a venue is, and the settings of its client."""

from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec

from sureclose.domain.words import Mode
from sureclose.venue.port import MAX_RECV_WINDOW_MS

_Ms = Annotated[int, msgspec.Meta(ge=1)]


class Addresses(msgspec.Struct, frozen=True):
    """REST, private stream and WebSocket API of one environment; no trailing slash. An empty one is not known."""

    rest: str
    stream: str
    ws_api: str


LIVE: Final = Addresses(
    "https://fapi.binance.com", "wss://fstream.binance.com", "wss://ws-fapi.binance.com/ws-fapi/v1"
)
"""Binance docs, general info of USDS-M futures."""

DEMO: Final = Addresses(
    "https://demo-fapi.binance.com",
    "wss://fstream.binancefuture.com",
    "wss://testnet.binancefuture.com/ws-fapi/v1",
)
"""Binance's testnet. The REST address is the newer of two (older: https://testnet.binancefuture.com); stream and
WebSocket API are in doubt (older stream: wss://stream.binancefuture.com). ``base_url`` and ``stream_url`` override
them."""

PAPER: Final = Addresses("", "", "")
"""The paper exchange takes a free port; whoever started it knows the address and sets ``base_url``."""

_BY_MODE: Final = {Mode.LIVE: LIVE, Mode.DEMO: DEMO, Mode.PAPER: PAPER}
_LIVE_HOSTS: Final = frozenset({"fapi.binance.com", "fstream.binance.com", "ws-fapi.binance.com"})
_TEST_HOST_PARTS: Final = ("demo-fapi.", "testnet.", "binancefuture.com")
_TEST_HOSTS: Final = frozenset(
    {
        "demo-fapi.binance.com",
        "testnet.binancefuture.com",
        "fstream.binancefuture.com",
        "stream.binancefuture.com",
    }
)
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_STREAM_SCHEME: Final = {"http": "ws", "https": "wss"}


class VenueSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to talk to the venue. Times are milliseconds. Raises ``ValueError`` when senseless."""

    environment: Mode = Mode.PAPER
    base_url: str = ""
    """REST address without a path; empty takes the environment's own."""
    stream_url: str = ""
    """Stream address without a path; empty takes the environment's own, or follows ``base_url``."""
    stream_path: str = "/private/ws?listenKey={listen_key}"
    """Path of the user data stream (Binance change log 2026-03-05: private data flows under /private only)."""
    account: str = "main"
    """The name of the account in keys and client order ids; not sent to the venue."""
    client_order_id_prefix: str = "sc-"
    recv_window_ms: int = 2000
    """How long after its timestamp the venue may still accept an order; 100 to 60000."""
    read_recv_window_ms: int = 5000
    """The same for reads, where lateness does no harm (venue default)."""
    order_timeout_ms: _Ms = 3000
    """From the sending of an order to the end of its answer; after that it is unknown. Best above ``recv_window_ms``."""
    connect_timeout_ms: _Ms = 1000
    """For a TCP and TLS connection; an order that gets none was not sent."""
    read_timeout_ms: _Ms = 5000
    """From the sending of a read to the end of its answer, and how long a read waits for the venue's limits."""
    order_connections: _Ms = 16
    """Orders in flight at once."""
    warm_connections: _Ms = 4
    """Order connections that a ping keeps open while there are no orders."""
    read_connections: _Ms = 8
    """Reads of closes in flight at once; those that observe have half as many of their own."""
    keep_alive_ms: _Ms = 45_000
    """How long an idle connection is kept."""
    clock_interval_ms: _Ms = 20_000
    """Between two measurements of the venue's clock, and between two pings that keep order connections warm. Best
    below half of ``keep_alive_ms``."""
    clock_samples: _Ms = 3
    """Reads of the venue's time in one measurement; the best one counts."""
    position_interval_ms: int = 250
    """The least time between two reads of positions; each serves all who wait."""
    rules_max_age_ms: _Ms = 3_600_000
    """When exchangeInfo is read again although the symbol is known."""
    rules_retry_ms: _Ms = 60_000
    """The least time between two reads of exchangeInfo for a symbol it doesn't list."""
    rules_doubt_ms: _Ms = 5_000
    """The same after the venue refused an order for its quantity or symbol."""
    mode_max_age_ms: _Ms = 600_000
    """When the position mode is asked again."""
    weight_limit: _Ms = 2400
    """Request weight in a minute until exchangeInfo says otherwise (Binance docs, limits)."""
    observe_share: float = 0.8
    """The share of the weight above which reads that are not part of a close wait for the next minute."""
    count_limits: bool = True
    """Whether the counts in the venue's headers are kept below its limits, beyond obeying its refusals. Off only for
    a venue that counts without enforcing: the paper exchange with its limits off."""
    size_from_stream: bool = True
    """Whether a full close may be sized from the position as the user data stream tells it, where that is fresh and
    every read of positions has agreed with it. Off: each close reads its position first."""
    told_fresh_ms: _Ms = 1000
    """How recently the stream must have been heard, pongs included, for what it told to be fresh."""
    book_check_ms: _Ms = 5000
    """Between two reads of all positions that check what the stream told (weight 5 each)."""
    resting_check_ms: _Ms = 60_000
    """The same for all resting orders (weight 80)."""
    stream_ping_ms: _Ms = 500
    """After how long without a frame we ping; the venue takes up to five a second."""
    stream_idle_ms: _Ms = 60_000
    """After how long without a data frame the stream's silence is reported."""
    stream_heartbeat_ms: _Ms = 10_000
    """Twice that without any frame, pongs included, ends the connection."""
    stream_keepalive_ms: _Ms = 1_800_000
    """Between two extensions of the listen key, which lives for 60 minutes (Binance docs, user data streams)."""
    stream_max_age_ms: _Ms = 82_800_000
    """When the stream is renewed by us, 23 hours; the venue ends it after 24 (Binance docs, user data streams)."""

    def __post_init__(self) -> None:
        for name in ("recv_window_ms", "read_recv_window_ms"):
            if not 100 <= getattr(self, name) <= MAX_RECV_WINDOW_MS:
                raise ValueError(f"venue.{name} must be between 100 and {MAX_RECV_WINDOW_MS}")
        if not 0 < self.observe_share <= 1:
            raise ValueError("venue.observe_share must be above 0 and at most 1")
        if self.position_interval_ms < 0:
            raise ValueError("venue.position_interval_ms must not be negative")
        if self.stream_path.count("{listen_key}") != 1 or not self.stream_path.startswith("/"):
            raise ValueError("venue.stream_path must be a path that contains {listen_key} once")
        prefix = self.client_order_id_prefix
        if not 1 <= len(prefix) <= 12 or not (prefix.replace("-", "").replace("_", "") + "a").isalnum():
            raise ValueError(
                "venue.client_order_id_prefix must be 1 to 12 of A-Z, a-z, 0-9, - and _, or orders can't be told apart"
            )
        if not prefix.isascii():
            raise ValueError("venue.client_order_id_prefix must be ASCII")


def addresses(settings: VenueSettings) -> Addresses:
    """The addresses that the settings mean.

    Raises ``ValueError``, with the remedy, when none is known, when keys would travel in the clear, or when an
    address belongs to another environment than the settings name.
    """
    own = _BY_MODE[settings.environment]
    rest = settings.base_url.rstrip("/") or own.rest
    if not rest:
        raise ValueError(
            "venue.base_url is empty and the paper exchange has no fixed address; start `sureclose paper` or set it"
        )
    stream = settings.stream_url.rstrip("/") or own.stream
    if settings.base_url and not settings.stream_url:
        stream = _beside(rest, own)
    _check("venue.base_url", rest, ("http", "https"), settings.environment)
    _check("venue.stream_url", stream, ("ws", "wss"), settings.environment)
    return Addresses(rest, stream, own.ws_api)


def _beside(rest: str, own: Addresses) -> str:
    """The stream of an overridden REST address: at the environment's own host its own stream, else the same host."""
    parts = urlsplit(rest)
    if rest == own.rest or (parts.hostname or "").endswith(("binance.com", "binancefuture.com")):
        return own.stream
    return f"{_STREAM_SCHEME.get(parts.scheme, 'wss')}://{parts.netloc}"


def _check(name: str, address: str, schemes: tuple[str, str], mode: Mode) -> None:
    plain, _secure = schemes
    parts = urlsplit(address)
    host = (parts.hostname or "").casefold()
    if parts.scheme not in schemes or not host or parts.query or parts.fragment or parts.username:
        raise ValueError(f"{name} must look like {schemes[1]}://host:port, without a path, not {address!r}")
    if parts.path:
        raise ValueError(f"{name} must have no path, not {parts.path!r}")
    if parts.scheme == plain and host not in _LOOPBACK and mode is not Mode.PAPER:
        raise ValueError(f"{name} would send keys in the clear to {host}; use {schemes[1]}://")
    is_test = any(part in host for part in _TEST_HOST_PARTS)
    if mode is not Mode.LIVE and host in _LIVE_HOSTS:
        raise ValueError(f"{name} is the live exchange, but venue.environment is {mode.value}")
    if mode is not Mode.DEMO and is_test:
        raise ValueError(f"{name} is Binance's testnet, but venue.environment is {mode.value}")


def strangers_to(settings: VenueSettings) -> list[str]:
    """What of the addresses is not known to be the environment's own, with the remedy; for what acts unattended.

    A paper exchange may be anywhere, so there it is enough that ``addresses`` did not object; and what stands in for the
    demo exchange may be on this machine.
    """
    known = {Mode.LIVE: _LIVE_HOSTS, Mode.DEMO: _TEST_HOSTS}.get(settings.environment)
    if known is None:
        return []
    found = addresses(settings)
    hosts = {
        "venue.base_url": urlsplit(found.rest).hostname,
        "venue.stream_url": urlsplit(found.stream).hostname,
    }
    return [
        f"{name} is {host}, which is not known to be the {settings.environment.value} exchange: leave it empty"
        for name, host in hosts.items()
        if (host or "").casefold() not in known
        and not (settings.environment is Mode.DEMO and host in _LOOPBACK)
    ]
