"""``reconcile``: whether the log is the one that is known here, and what of the venue's orders it lacks."""

import msgspec

from sureclose.domain.market import OrderReport
from sureclose.domain.policy import Policy
from sureclose.domain.rebuilding import ids_of
from sureclose.journal import authority
from sureclose.journal.fence import read_lineage
from sureclose.journal.reconciliation import Reconciliation, last_found
from sureclose.operate.session import Session
from sureclose.services.comparing import compare, missing_since
from sureclose.streams.names import StreamName

_SEARCHED = 20_000
"""How many of the newest entries of ``apply.result`` are searched for the plans of orders."""


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """An order of ours that the journal does not know. ``plan_id`` is empty when nothing in the log names its plan."""

    client_order_id: str
    plan_id: str
    symbol: str
    side: str
    order_id: int
    status: str
    quantity: str
    executed_qty: str
    orphan: bool
    """Whether a reconciliation has found it: its close goes on from it as soon as its plan is known."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """The log as it is now, beside what this machine knows of it and what the venue shows."""

    log_id: str
    written: int
    known_id: str
    known_written: int
    same: bool
    frozen: str
    """Why, or empty."""
    last: Reconciliation | None
    since: int
    orders: int
    missing: tuple[Missing, ...]


async def look(session: Session) -> Standing:
    """Read log and venue; raises ``VenueError`` or ``RedisError``. Nothing is changed."""
    journal, known = session.journal, session.fence.memory
    lineage = await read_lineage(session.wire, session.keys)
    await session.venue.server_time()
    await session.venue.measure_clock()
    since = await missing_since(
        session.wire, journal, session.venue, session.clock, session.execution.max_age_s * 1000
    )
    prefix = session.venue_settings.client_order_id_prefix
    compared = await compare(session.venue, journal, prefix, since)
    orphans = await journal.orphans()
    lacking = orphans | {order.client_order_id: order for order in compared.unknown}
    plans = await _plans(session, prefix, set(lacking)) if lacking else {}
    frozen = await authority.standing(session.wire, session.keys)
    behind = known.id == lineage.id and lineage.written < known.written
    return Standing(
        log_id=lineage.id,
        written=lineage.written,
        known_id=known.id,
        known_written=known.written,
        same=not behind and known.id in {"", lineage.id, *lineage.before},
        frozen=frozen.freeze.get("reason", "no reason recorded") if frozen.frozen else "",
        last=await last_found(session.wire, session.keys),
        since=since,
        orders=compared.ours,
        missing=tuple(_missing(order, plans, orphans) for order in lacking.values()),
    )


async def _plans(session: Session, prefix: str, wanted: set[str]) -> dict[str, str]:
    """By client order id, the plans that the log names: approvals and open closes."""
    policy = Policy(account=session.keys.account, client_order_id_prefix=prefix)
    stream = session.streams.full(StreamName.APPLY_RESULT)
    entries = await session.wire.execute_command(b"XREVRANGE", stream, "+", "-", b"COUNT", _SEARCHED)
    named = set(await session.journal.open_plans())
    for _, flat in entries:
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        if b"plan_id" in fields:
            named.add(fields[b"plan_id"].decode(errors="replace"))
    return {own: plan for plan in named for own in ids_of(plan, policy) if own in wanted}


def _missing(order: OrderReport, plans: dict[str, str], orphans: dict[str, OrderReport]) -> Missing:
    return Missing(
        client_order_id=order.client_order_id,
        plan_id=plans.get(order.client_order_id, ""),
        symbol=order.symbol,
        side=order.side,
        order_id=order.order_id,
        status=order.status,
        quantity=f"{order.orig_qty:f}",
        executed_qty=f"{order.executed_qty:f}",
        orphan=order.client_order_id in orphans,
    )
