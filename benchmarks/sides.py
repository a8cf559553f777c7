"""The two that are compared: where each reads its decisions and says its outcomes."""

import msgspec

from sureclose.services.settings import StreamSettings
from sureclose.streams.names import StreamName

_STREAMS = StreamSettings()


class Side(msgspec.Struct, frozen=True):
    """One executor. Its orders are told apart by the prefix of their client order ids."""

    name: str
    decisions: str
    results: str
    order_prefix: str
    hashes_ids: bool
    """Whether a client order id is a hash of the plan, or the plan's own id behind the prefix."""


OURS = Side(
    "sureclose",
    _STREAMS.full(StreamName.APPLY_RESULT),
    _STREAMS.full(StreamName.EXECUTION_RESULT),
    order_prefix="sc-",
    hashes_ids=True,
)
FLOOR = Side("floor", "bench:floor:decisions", "bench:floor:results", order_prefix="fl-", hashes_ids=False)
"""Streams of its own in the same log: a decision that both read would be executed by both."""

FLOOR_GROUP = "bench_floor"
FLOOR_JOURNAL = "bench:floor:journal"
