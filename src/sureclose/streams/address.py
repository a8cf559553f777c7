"""The address of the log: what is accepted, and how it looks in a log line."""

from urllib.parse import parse_qsl, urlsplit

from sureclose.streams.errors import LogAddressInvalid
from sureclose.streams.sentinel import parse

EMBEDDED = "embedded"
_SCHEMES = ("redis", "rediss", "unix")
SENTINEL_SCHEMES = ("redis+sentinel", "rediss+sentinel")
_OF_SENTINELS = {"sentinel_username", "sentinel_password"}


def masked(url: str) -> str:
    """The address without its password, wherever that stands."""
    if url == EMBEDDED:
        return url
    parts = urlsplit(url)
    netloc = parts.netloc
    if "@" in netloc:
        credentials, _, place = netloc.rpartition("@")
        user = credentials.partition(":")[0]
        netloc = f"{user}:***@{place}"
    query = "&".join(
        f"{name}={'***' if name.endswith('password') else value}"
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
    )
    return f"{parts.scheme}://{netloc}{parts.path}{'?' if query else ''}{query}"


def accepted(url: str) -> str:
    """The address as it is, or the reason why it can't be used.

    Query parameters win over the arguments of redis-py, and some of them would bring back what loses or doubles
    entries (retries, no timeout, decoded replies), so only the harmless ones pass.
    """
    try:
        parts = urlsplit(url)
        port = None if parts.scheme in SENTINEL_SCHEMES else parts.port
    except ValueError as error:
        raise LogAddressInvalid(url="(not shown)", why=str(error)) from error
    if parts.scheme in SENTINEL_SCHEMES:
        try:
            parse(url)
        except ValueError as error:
            raise LogAddressInvalid(url=masked(url), why=str(error)) from error
    elif parts.scheme not in _SCHEMES:
        raise LogAddressInvalid(url=masked(url), why=f"its scheme is {parts.scheme!r}")
    if parts.scheme == "unix" and (not parts.path or port is not None):
        raise LogAddressInvalid(url=masked(url), why="a unix address is unix:///path/to/socket")
    for name, _ in parse_qsl(parts.query, keep_blank_values=True):
        harmless = name in {"db", "username", "password"} or name.startswith("ssl_")
        if not harmless and not (parts.scheme in SENTINEL_SCHEMES and name in _OF_SENTINELS):
            raise LogAddressInvalid(url=masked(url), why=f"the parameter {name!r} is not allowed")
    return url
