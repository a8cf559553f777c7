"""Whether anybody but us could send orders here, and whether an old apply layer decides (incidents 24 and 55)."""

from collections import Counter
from typing import Final

from sureclose.domain.ids import plain
from sureclose.domain.market import OrderReport
from sureclose.domain.quantity import ZERO
from sureclose.operate.check import Check, Status
from sureclose.operate.leading import LIVELY_MS, is_ours
from sureclose.operate.session import Session
from sureclose.services.settings import Role
from sureclose.streams.groups import group_infos
from sureclose.streams.names import StreamName
from sureclose.streams.wire import texts
from sureclose.venue.port import Purpose

WINDOW_MS: Final = 3_600_000
MOST_SYMBOLS: Final = 20
"""The history of one symbol weighs 5 of the 2,400 that a minute has."""
MOST_ENTRIES: Final = 500
SHOWN: Final = 5
MASKED: Final = "kill_score_close_ok"
"""What a layer that masks approvals writes as the error of a SKIP: the reason code that means allowed."""


async def foreign_orders(session: Session) -> Check:
    """Orders of the last hour, by the venue's own history, in the symbols that have positions or had closes."""
    name = "second submitter, by orders"
    now = session.venue.clock.now()
    symbols = [position.symbol for position in await session.venue.positions()]
    for _, fields in await _latest(session, StreamName.EXECUTION_RESULT):
        if symbol := fields.get("symbol"):
            symbols.append(symbol)
    # A close may have been asked for in a symbol that the venue never listed.
    listed_there = [one for one in dict.fromkeys(symbols) if await session.venue.rules(one) is not None]
    wanted = listed_there[:MOST_SYMBOLS]
    foreign: list[OrderReport] = []
    for symbol in wanted:
        listed = await session.venue.orders_since(symbol, now - WINDOW_MS, Purpose.OBSERVE)
        foreign += [order for order in listed if not _ours(session, order)]
    looked = f"{len(wanted)} symbols with positions or closes, last hour"
    if not foreign:
        return Check(name=name, status=Status.OK, detail=f"none: {looked}")
    filled = sum(order.executed_qty != ZERO for order in foreign)
    shown = "; ".join(map(_told, foreign[-SHOWN:]))
    return Check(
        name=name,
        status=Status.WARN,
        detail=f"{len(foreign)} orders of others, {filled} of them with fills ({looked}): {shown}",
        remedy="find who holds the keys of this account: stop an old execution service and take its key away, or give "
        "Sureclose a key and account of its own; a person's own orders are no matter",
    )


async def foreign_readers(session: Session) -> Check:
    """Live consumers that are none of ours, where approvals are read: whoever reads them may execute them."""
    name = "second submitter, by readers"
    found = []
    for stream in map(session.streams.full, (StreamName.TRADE_INTENT, StreamName.APPLY_RESULT)):
        for group in await group_infos(session.wire, stream):
            found += [
                f"{one.name} in {group.group} of {stream}"
                for one in group.consumers
                if one.idle_ms < LIVELY_MS and not is_ours(one, tuple(Role)) and group.group not in _LOGGERS
            ]
    if not found:
        return Check(
            name=name,
            status=Status.OK,
            detail="none reads trade.intent or apply.result but processes of ours",
        )
    return Check(
        name=name,
        status=Status.WARN,
        detail=", ".join(found),
        remedy="an old execution service would send a second order for the same close: stop it (docs/runbook-paths.md)",
    )


async def old_apply_layer(session: Session) -> Check:
    """Who else decides: live consumers in the apply layer's group, and decisions that no producer of ours wrote."""
    name, now = "old apply layer", session.clock.now()
    plans, group = session.streams.full(StreamName.APPLY_PLAN), session.streams.apply_layer_group
    readers = [
        one.name
        for info in await group_infos(session.wire, plans)
        if info.group == group
        for one in info.consumers
        if one.idle_ms < LIVELY_MS and not is_ours(one, (Role.APPLY_LAYER,))
    ]
    counted: Counter[str] = Counter()
    for at, fields in await _latest(session, StreamName.APPLY_RESULT):
        if now - at <= WINDOW_MS and not fields.get("schema", "").startswith("sureclose/"):
            counted["masked" if _masks(fields) else "other"] += 1
    if not readers and not counted:
        return Check(
            name=name, status=Status.OK, detail="none: every decision of the last hour was made by ours"
        )
    parts = [
        f"{', '.join(readers)} read{'s' if len(readers) == 1 else ''} {plans} as {group}" if readers else "",
        f"{counted['masked']} approvals of the last hour are masked: decision=SKIP with error={MASKED}"
        if counted["masked"]
        else "",
        f"{counted['other']} other decisions of the last hour are not ours" if counted["other"] else "",
    ]
    return Check(
        name=name,
        status=Status.WARN,
        detail="; ".join(part for part in parts if part),
        remedy="stop the old apply layer, so that the plans go to ours: what it masks is closed by nobody "
        "(docs/runbook-paths.md)",
    )


_LOGGERS: Final = frozenset({"trade_history_logger"})
"""Groups that only write down what they read."""


async def _latest(session: Session, stream: StreamName) -> list[tuple[int, dict[str, str]]]:
    """The newest entries of a stream, each with when it was written (milliseconds, by its id)."""
    reply = await session.wire.execute_command(
        b"XREVRANGE", session.streams.full(stream), b"+", b"-", b"COUNT", MOST_ENTRIES
    )
    return [(int(entry_id.partition(b"-")[0]), texts(flat)) for entry_id, flat in reply]


def _ours(session: Session, order: OrderReport) -> bool:
    return order.client_order_id.startswith(session.venue_settings.client_order_id_prefix)


def _masks(fields: dict[str, str]) -> bool:
    return fields.get("decision", "").upper() != "CLOSE" and fields.get("error", "").strip() == MASKED


def _told(order: OrderReport) -> str:
    reduces = "reduces" if order.reduce_only else "does not say that it reduces"
    return f"{order.symbol} {order.side} {plain(order.orig_qty)} {order.status}, {reduces}, {order.client_order_id}"
