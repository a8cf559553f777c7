"""Harvest's book: it changes only where it is what was read, and together with what it says was published."""

import asyncio
from typing import Any, Final

import pytest
from redis.exceptions import ResponseError

from sureclose.journal.asking import KEPT_MS, Record, Saying, asked
from sureclose.journal.harvest import KNOWN, MOVED, OK, HarvestBook
from sureclose.journal.keys import Keys
from sureclose.streams.connection import Log
from sureclose.streams.wire import Wire

FIELD: Final = "ETHUSDT|BOTH"
RECORD: Final = Record(
    plan_id="p",
    symbol="ETHUSDT",
    position_side="BOTH",
    action="PARTIAL_CLOSE",
    at=1,
    expires_at=2,
    door="harvest",
    actor="harvest:reference",
    quantity="2",
)


@pytest.fixture
def keys(log_prefix: str) -> Keys:
    return Keys(log_prefix, "paper:main")


@pytest.fixture
def wire(log: Log) -> Wire:
    return log.commands()


@pytest.fixture
def book(wire: Wire, keys: Keys) -> HarvestBook:
    return HarvestBook(wire, keys)


def intent(keys: Keys, of: str = "one") -> Saying:
    return Saying(f"{keys.prefix}harvest.intent", {"intent_id": "i", "of": of})


async def said(wire: Wire, keys: Keys, stream: str = "harvest.intent") -> list[Any]:
    found: list[Any] = await wire.execute_command(b"XRANGE", f"{keys.prefix}{stream}", b"-", b"+")
    return found


async def test_of_two_who_have_read_the_same_one_proposes(wire: Wire, keys: Keys, book: HarvestBook) -> None:
    other = HarvestBook(wire, keys)
    words = await asyncio.gather(
        *(
            one.ask(FIELD, b"", name.encode(), name, RECORD, intent(keys, name))
            for one, name in ((book, "first"), (other, "second"))
        )
    )
    assert sorted(word for word, _ in words) == [MOVED, OK]
    [(_, fields)] = await said(wire, keys)
    assert (await book.read())[FIELD] == fields[fields.index(b"of") + 1]
    record = await asked(wire, keys, (await book.read())[FIELD].decode())
    assert record is not None
    assert (record.plan_id, record.quantity, record.door) == ("p", "2", "harvest")
    assert record.entry_id


async def test_a_wish_that_is_known_is_not_said_again_and_the_book_is_left_to_the_caller(
    wire: Wire, keys: Keys, book: HarvestBook
) -> None:
    assert (await book.ask(FIELD, b"", b"a", "i", RECORD, intent(keys)))[0] == OK
    await wire.execute_command(b"DEL", keys.harvest)
    word, known = await book.ask(FIELD, b"", b"b", "i", RECORD, intent(keys))
    assert (word, known.plan_id, bool(known.entry_id)) == (KNOWN, "p", True)
    assert len(await said(wire, keys)) == 1
    assert await book.read() == {}
    ttl = await wire.execute_command(b"PTTL", keys.asked("i"))
    assert KEPT_MS - 60_000 < ttl <= KEPT_MS


async def test_the_book_changes_only_where_it_still_is_what_was_read(book: HarvestBook) -> None:
    assert await book.keep(FIELD, b"", b"a")
    assert not await book.keep(FIELD, b"", b"b")
    assert not await book.keep(FIELD, b"another", b"b")
    assert await book.keep(FIELD, b"a", b"b")
    assert await book.read() == {FIELD: b"b"}


async def test_a_shadow_has_a_book_of_its_own_and_asks_for_nothing(
    wire: Wire, keys: Keys, book: HarvestBook
) -> None:
    shadow = HarvestBook(wire, keys, "other")
    entry = Saying(f"{keys.prefix}harvest.shadow", {"shadow": "True"})
    assert await shadow.show(FIELD, b"", b"a", entry)
    assert not await shadow.show(FIELD, b"", b"b", entry)
    assert len(await said(wire, keys, "harvest.shadow")) == 1
    assert (await shadow.read(), await book.read()) == ({FIELD: b"a"}, {})
    assert await said(wire, keys) == []


async def test_nothing_is_written_where_something_can_t_be(wire: Wire, keys: Keys, book: HarvestBook) -> None:
    await wire.execute_command(b"SET", f"{keys.prefix}harvest.intent", "no stream")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await book.ask(FIELD, b"", b"a", "i", RECORD, intent(keys))
    assert await book.read() == {}
    assert await asked(wire, keys, "i") is None
