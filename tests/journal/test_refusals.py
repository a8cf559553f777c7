"""Wishes that were refused: kept for who asks, and bounded whoever floods."""

from sureclose.journal import refusals as book
from sureclose.journal.refusals import Refusal, record_refusal, refusals
from sureclose.streams.connection import Log
from tests.journal.journals import Desk

EXPIRED = Refusal(
    where="http",
    reason="expired",
    at=5,
    seen="now",
    remedy="ask again",
    intent_id="i",
    plan_id="p",
    symbol="ETHUSDT",
)


async def test_a_refusal_is_found_by_intent_plan_and_entry(log: Log, log_prefix: str) -> None:
    desk = Desk(log, log_prefix)
    other = Refusal(where="intent-executor", reason="other_mode", at=6, entry_id="7-0", stream="s")
    for one in (EXPIRED, other):
        await record_refusal(desk.wire, desk.keys, one)
    for wanted, found in (("i", EXPIRED), ("p", EXPIRED), ("7-0", other)):
        assert [one async for one in refusals(desk.wire, desk.keys, wanted)] == [found]
    assert [one async for one in refusals(desk.wire, desk.keys, "q")] == []


async def test_a_flood_of_refusals_is_bounded(log: Log, log_prefix: str) -> None:
    desk = Desk(log, log_prefix)
    async with desk.wire.pipeline(transaction=False) as pipe:  # type: ignore[attr-defined]
        for _ in range(book.MOST + 2_000):
            pipe.execute_command(
                b"XADD",
                desk.keys.refused,
                b"MAXLEN",
                b"~",
                book.MOST,
                b"*",
                b"where",
                b"http",
                b"reason",
                b"x",
                b"at",
                b"1",
            )
        await pipe.execute()
    await record_refusal(desk.wire, desk.keys, EXPIRED)
    assert await desk.do("XLEN", desk.keys.refused) < book.MOST + 500
    assert [one async for one in refusals(desk.wire, desk.keys, "i")] == [EXPIRED]
