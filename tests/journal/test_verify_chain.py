"""Verification of a chain and of the order of its facts: nothing can be changed, left out, added or exchanged."""

from collections.abc import Callable, Sequence
from typing import Final

import pytest

from sureclose.domain import facts
from sureclose.domain.facts import AnyFact, Ended, Filled, Sending
from sureclose.domain.ids import client_order_id_for
from sureclose.domain.outcome import Outcome, OutcomeKind
from sureclose.journal.burnt import RETENTION_MS
from sureclose.journal.checking.findings import Against, Rule
from sureclose.journal.record import Record, Writer
from tests.domain.scripts import START, Script
from tests.journal.verify_cases import (
    ACCOUNT,
    broken,
    changed,
    check,
    driven,
    examined,
    published,
    put,
    stored,
)

ONLY_JOURNAL: Final = Against.JOURNAL


RESUMED: Final = facts.Resumed(worker="worker", epoch=2)


def facts_of() -> list[AnyFact]:
    """A close that one order closes."""
    return list(driven(Script(position=3_000)).journal.facts)


# The chain --------------------------------------------------------------------------------------------------------


def _with_record(number: int, change: Callable[[Record], Record]) -> set[tuple[Rule, Against]]:
    close = stored(facts_of())
    records = list(close.records)
    entry_id, record = records[number]
    records[number] = entry_id, change(record)
    return broken(examined(put(records=tuple(records))(close), results=published(close)))


@pytest.mark.parametrize("number", range(6))
def test_one_changed_byte_in_any_record_breaks_the_chain(number: int) -> None:
    for place in (3, -20):

        def flip(record: Record, place: int = place) -> Record:
            body = bytearray(record.body)
            body[place] ^= 1
            return Record(record.kind, bytes(body), record.hash)

        assert _with_record(number, flip) == {(Rule.CHAIN, ONLY_JOURNAL)}


def test_a_record_under_another_name_breaks_the_chain() -> None:
    assert _with_record(0, lambda record: Record("SIZED", record.body, record.hash)) == {
        (Rule.CHAIN, ONLY_JOURNAL)
    }


@pytest.mark.parametrize("change", ["cut", "head", "headless", "missing", "stray", "swapped", "empty"])
def test_a_chain_that_is_not_whole_is_told(change: str) -> None:
    close = stored(facts_of())
    one, two, *others = close.records
    forged = {
        "cut": put(records=close.records[:-1]),
        "head": put(head="0" * 64),
        "headless": put(head=None),
        "missing": put(missing=("1-0",)),
        "stray": put(strays=("1-0",)),
        "swapped": put(records=(two, one, *others)),
        "empty": put(records=()),
    }[change](close)
    report = examined(forged, results=published(close))
    assert broken(report) == {(Rule.CHAIN, ONLY_JOURNAL)}
    told = check(report, Rule.CHAIN).violations[0]
    assert told.plan_id == close.plan_id
    assert told.records == tuple(record.hash for _, record in forged.records)
    left_alone = check(report, Rule.I1).unclear
    assert [one.what for one in left_alone] == ["its chain is broken"]


def test_a_chain_of_another_account_is_told() -> None:
    close = stored(facts_of(), writer=Writer("live:main", "worker", 1))
    assert broken(examined(close)) == {(Rule.CHAIN, ONLY_JOURNAL)}


def test_a_close_that_is_so_old_that_its_head_is_forgotten_is_no_violation() -> None:
    close = put(head=None, state=None)(stored(facts_of()))
    report = examined(close, results=published(close), now=START + RETENTION_MS + 60_000)
    assert report.ok
    assert len(check(report, Rule.CHAIN).unclear) == 1


# The order of facts -----------------------------------------------------------------------------------------------


def _plan_id() -> str:
    admitted = facts_of()[0]
    assert isinstance(admitted, facts.Admitted)
    return admitted.decision.plan_id


def _after_sending(known: Sequence[AnyFact], *more: AnyFact) -> list[AnyFact]:
    place = next(index for index, fact in enumerate(known) if isinstance(fact, Sending))
    return [*known[: place + 1], *more, *known[place + 1 :]]


def _out_of_order() -> dict[str, list[AnyFact]]:
    known = facts_of()
    admitted, sized, sending, *others = known
    filled = next(fact for fact in known if isinstance(fact, Filled))
    return {
        "admitted twice": [admitted, admitted, sized, sending, *others],
        "nothing before the sizing": known[1:],
        "sized in flight": _after_sending(known, sized),
        "filled twice": [*known[:-1], filled, known[-1]],
        "ended twice": [*known, known[-1]],
        "on after the end": [*known, admitted],
        "settled without being parked": [
            *known,
            facts.Resolved(
                actor="somebody",
                reason="",
                outcome=Outcome(OutcomeKind.FLAT),
                orders=(filled.order,),
                trades=filled.trades,
                position=known[-1].position_after,  # type: ignore[union-attr,arg-type]
            ),
        ],
        "seen and nothing new": [
            *known[:-1],
            facts.Seen(via=facts.Via.STREAM, order=filled.order),
            known[-1],
        ],
        "a number left out": changed(known, Sending, put(attempt=2)),
        "of another plan": changed(
            known,
            facts.Admitted,
            lambda fact: facts.Admitted(decision=put(plan_id="another")(fact.decision), entry=fact.entry),
        ),
        "taken up before it is there": [RESUMED, *known],
        "taken up after its end": [*known, RESUMED],
    }


@pytest.mark.parametrize(
    "name",
    [
        "admitted twice",
        "nothing before the sizing",
        "sized in flight",
        "filled twice",
        "ended twice",
        "on after the end",
        "settled without being parked",
        "seen and nothing new",
        "a number left out",
        "of another plan",
        "taken up before it is there",
        "taken up after its end",
    ],
)
def test_a_fact_that_can_not_follow_is_told(name: str) -> None:
    known = _out_of_order()[name]
    report = examined(stored(known, _plan_id()))
    assert (Rule.FACTS, ONLY_JOURNAL) in broken(report)
    assert (Rule.CHAIN, ONLY_JOURNAL) not in broken(report)


def test_a_send_when_all_is_filled_is_told() -> None:
    known = facts_of()
    own = client_order_id_for("sc-", ACCOUNT, _plan_id(), 2)
    again = put(attempt=2, client_order_id=own)(known[2])
    report = examined(stored([*known[:-1], again]))
    assert broken(report) == {(Rule.FACTS, ONLY_JOURNAL)}
    assert check(report, Rule.FACTS).violations[0].what == "SENDING 2 comes while the close is confirming"


def test_an_outcome_while_the_attempts_fate_is_open_is_told() -> None:
    admitted, sized, sending, *_ = facts_of()
    ended = Ended(outcome=Outcome(OutcomeKind.REFUSED, "nobody knows"))
    assert broken(examined(stored([admitted, sized, sending, ended]))) == {(Rule.FACTS, ONLY_JOURNAL)}


def test_a_skipped_close_that_is_admitted_again_is_in_order() -> None:
    known = facts_of()
    skipped = Ended(outcome=Outcome(OutcomeKind.SKIPPED, "frozen"))
    assert examined(stored([known[0], skipped, *known])).ok


def test_a_parked_close_that_a_person_settles_is_in_order() -> None:
    admitted, sized, sending, *others = facts_of()
    filled = next(fact for fact in others if isinstance(fact, Filled))
    last = others[-1]
    assert isinstance(last, Ended)
    assert last.position_after is not None
    lost = facts.Answered(attempt=1, answer=facts.Answer.UNKNOWN)
    parked = Ended(outcome=Outcome(OutcomeKind.PARKED, "a contradiction"))
    resolved = facts.Resolved(
        actor="somebody",
        reason="read it",
        outcome=Outcome(OutcomeKind.FLAT, "settled by a person"),
        orders=(filled.order,),
        trades=filled.trades,
        position=last.position_after,
    )
    before = [admitted, sized, sending, lost, parked]
    assert examined(stored(before)).ok
    assert examined(stored([*before, resolved])).ok
    assert broken(examined(stored([*before, resolved, resolved]))) == {(Rule.FACTS, ONLY_JOURNAL)}
    still = stored([*before, resolved], state="PARKED")
    assert broken(examined(still)) == {(Rule.I3, ONLY_JOURNAL)}
