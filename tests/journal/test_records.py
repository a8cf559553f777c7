"""The chain of a close: any change to what was recorded shows, and what is read is what was written."""

from collections.abc import Callable

import msgspec
import pytest

from sureclose.domain.facts import AnyFact, Resumed
from sureclose.journal.chain import Chain
from sureclose.journal.record import ChainBroken, Head, Record, Writer, extend, verify
from tests.journal.journals import NOW, Desk, admitted, ended, sending

WRITER = Writer("paper:main", "w", 1)
FACTS: list[AnyFact] = [admitted(), sending(1), Resumed(worker="w", epoch=2), ended()]


def chain(known: list[AnyFact] = FACTS, plan_id: str = "plan") -> list[Record]:
    return extend(Head(), plan_id, known, WRITER, NOW)[1]


def test_a_chain_reads_back_what_was_put_on_it_one_by_one_or_at_once() -> None:
    head, records = Head(), []
    for fact in FACTS:
        head, more = extend(head, "plan", [fact], WRITER, NOW)
        records += more
    assert records == chain()
    verified, bodies = verify(records)
    assert verified == head == Head(records[-1].hash, len(FACTS))
    assert [body.fact for body in bodies] == FACTS
    assert [body.seq for body in bodies] == [1, 2, 3, 4]


def test_the_empty_chain_stands_at_the_beginning() -> None:
    assert verify([]) == (Head(), [])


def edited(records: list[Record]) -> list[Record]:
    body = records[1].body.replace(b'"quantity":"1"', b'"quantity":"9"')
    assert body != records[1].body
    return [records[0], msgspec.structs.replace(records[1], body=body), *records[2:]]


TAMPERED: dict[str, Callable[[list[Record]], list[Record]]] = {
    "a body was edited": edited,
    "a record was dropped": lambda records: [*records[:1], *records[2:]],
    "the first was dropped": lambda records: records[1:],
    "two were swapped": lambda records: [records[0], records[2], records[1], records[3]],
    "one came twice": lambda records: [*records[:2], *records[1:]],
    "one was put in between": lambda records: [records[0], chain(FACTS[:1], "other")[0], *records[1:]],
    "a hash was edited": lambda records: [
        msgspec.structs.replace(records[0], hash="0" * 64),
        *records[1:],
    ],
}


@pytest.mark.parametrize("how", TAMPERED)
def test_tampering_shows(how: str) -> None:
    with pytest.raises(ChainBroken, match=r"altered|follow"):
        verify(TAMPERED[how](chain()))


def test_an_edit_with_a_hash_to_match_breaks_the_next_record() -> None:
    records = chain()
    forged = extend(Head(records[0].hash, 1), "plan", [sending(7)], WRITER, NOW)[1]
    with pytest.raises(ChainBroken, match="record 3 of plan plan does not follow 2"):
        verify([records[0], *forged, *records[2:]])


def test_the_same_facts_give_the_same_bytes() -> None:
    assert chain() == chain()
    assert chain()[0].body.startswith(b'{"schema":1,"account":"paper:main","plan_id":"plan"')


async def load_broken(desk: Desk, match: str) -> None:
    with pytest.raises(ChainBroken, match=match):
        await desk.journal.load("plan")


async def recorded(desk: Desk) -> tuple[Chain, list[str]]:
    closing = await desk.admit()
    await desk.gate(closing)
    closing.unwritten.append(Resumed(worker="w", epoch=1))
    await desk.journal.append(closing, desk.lease)
    ids = (await desk.do("HGET", desk.keys.close("plan"), "records")).decode().split()
    assert len(ids) == 3
    return closing, ids


async def test_a_record_that_is_gone_from_the_log_is_named(desk: Desk) -> None:
    _, ids = await recorded(desk)
    await desk.do("XDEL", desk.keys.journal, ids[1])
    await load_broken(desk, "record 3 of plan plan does not follow 1")


async def test_an_end_that_is_gone_from_the_log_is_named(desk: Desk) -> None:
    _, ids = await recorded(desk)
    await desk.do("XDEL", desk.keys.journal, ids[2])
    await load_broken(desk, "should end at")


async def test_swapped_records_are_named(desk: Desk) -> None:
    _, ids = await recorded(desk)
    swapped = f"{ids[0]} {ids[2]} {ids[1]}"
    await desk.do("HSET", desk.keys.close("plan"), "records", swapped)
    await load_broken(desk, "record 3 of plan plan does not follow 1")


async def test_a_body_edited_in_place_is_named(desk: Desk) -> None:
    _, ids = await recorded(desk)
    journal = desk.keys.journal
    ((_, fields),) = await desk.do("XRANGE", journal, ids[2], ids[2])
    at = fields.index(b"body") + 1
    fields[at] = fields[at].replace(b'"epoch":1', b'"epoch":2')
    await desk.do("XDEL", journal, ids[2])
    forged = await desk.do("XADD", journal, "*", *fields)
    await desk.do("HSET", desk.keys.close("plan"), "records", f"{ids[0]} {ids[1]} {forged.decode()}")
    await load_broken(desk, "was altered")


async def test_the_whole_chain_of_another_close_is_not_this_ones(desk: Desk) -> None:
    await recorded(desk)
    fields = await desk.do("HMGET", desk.keys.close("plan"), "head", "records")
    await desk.do("HSET", desk.keys.close("other"), "head", fields[0], "records", fields[1])
    with pytest.raises(ChainBroken, match="plan other are those of paper:main plan"):
        await desk.journal.load("other")


async def test_a_close_that_the_log_never_heard_of_is_none(desk: Desk) -> None:
    assert await desk.journal.load("never") is None
    assert await desk.journal.state("never") is None


async def test_open_closes_are_listed_by_age_without_a_scan(desk: Desk) -> None:
    for plan_id, at in [("b", 2), ("a", 3), ("c", 1)]:
        await desk.admit(plan_id)
        await desk.do("ZADD", desk.keys.open, at, plan_id)
    assert await desk.journal.open_plans() == ["c", "b", "a"]
    before = await desk.everything()
    nothing = Chain("b")
    await desk.journal.append(nothing, desk.lease)
    assert await desk.everything() == before
