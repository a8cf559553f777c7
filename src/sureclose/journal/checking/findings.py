"""What an examination finds: for each rule of one effect, what was looked at and what does not hold."""

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Final

import msgspec


class Rule(StrEnum):
    """The rules that a journal is held to; I1 to I9 are the invariants of the design."""

    CHAIN = "chain"
    SEGMENTS = "segments"
    FACTS = "order of facts"
    I1 = "I1"
    I2 = "I2"
    I3 = "I3"
    I4 = "I4"
    I5 = "I5"
    I6 = "I6"
    I7 = "I7"
    I9 = "I9"
    ONE_EFFECT = "one effect"
    INTENT = "one intent"


class Against(StrEnum):
    """What a rule is judged by: the journal alone, or the exchange's own records beside it."""

    JOURNAL = "journal"
    EXCHANGE = "exchange"


MEANINGS: Final[dict[tuple[Rule, Against], str]] = {
    (Rule.CHAIN, Against.JOURNAL): "each record hashes to what was recorded and follows the one before",
    (Rule.SEGMENTS, Against.JOURNAL): "each segment that was anchored is there, to the byte",
    (Rule.FACTS, Against.JOURNAL): "each fact is one that can follow the facts before it",
    (Rule.I1, Against.JOURNAL): "what is said of an attempt has its SENDING record before it",
    (Rule.I2, Against.JOURNAL): "between two sends of a plan stands a proof that the first is over",
    (Rule.I3, Against.JOURNAL): "what is finished or acknowledged has a durable, published outcome",
    (Rule.I4, Against.JOURNAL): "one attempt in flight per account, symbol and side",
    (Rule.I5, Against.JOURNAL): "each attempt reduces, and by no more than the position that was read",
    (Rule.I6, Against.JOURNAL): "each attempt follows an approved, unexpired CLOSE",
    (Rule.I7, Against.JOURNAL): "what is called executed has fills that add up and a later position read",
    (Rule.ONE_EFFECT, Against.JOURNAL): "the recorded fills of a plan are no more than its target",
    (Rule.INTENT, Against.JOURNAL): "of the plans of an intent one was sent for a position",
    (Rule.I1, Against.EXCHANGE): "each order of ours is its SENDING record's, accepted inside its window",
    (
        Rule.I2,
        Against.EXCHANGE,
    ): "no attempt was followed by another while the exchange had it open or unknown",
    (Rule.I5, Against.EXCHANGE): "each order of ours reduces, and executed no more than was open",
    (Rule.I7, Against.EXCHANGE): "the recorded trades are the exchange's trades, all of them",
    (Rule.I9, Against.EXCHANGE): "each order of ours is in the journal, each attempt at the exchange or dead",
    (Rule.ONE_EFFECT, Against.EXCHANGE): "the exchange's fills of a plan are no more than its target",
}
"""Every check there is, in the order in which they are told."""


class Verdict(StrEnum):
    HOLDS = "holds"
    VIOLATED = "violated"
    UNCLEAR = "unclear"
    """What it would take to judge is not there; neither pass nor failure."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule says of one thing. ``records`` are the hashes of the records that it rests on."""

    rule: Rule
    against: Against
    verdict: Verdict
    plan_id: str
    what: str = ""
    records: tuple[str, ...] = ()


class Noted(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a report: the plan, what was expected and seen, and the records it rests on."""

    plan_id: str
    what: str
    records: tuple[str, ...] = ()


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """All that one rule found. ``holds`` is ``None`` when nothing could be judged; ``why_not`` says what is missing."""

    rule: Rule
    against: Against
    meaning: str
    holds: bool | None
    checked: int
    violations: tuple[Noted, ...]
    unclear: tuple[Noted, ...] = ()
    why_not: str = ""


class Tally:
    """Counts findings as they come; what holds is only counted."""

    def __init__(self) -> None:
        self._checked = dict.fromkeys(MEANINGS, 0)
        self._violations: dict[tuple[Rule, Against], list[Noted]] = {key: [] for key in MEANINGS}
        self._unclear: dict[tuple[Rule, Against], list[Noted]] = {key: [] for key in MEANINGS}

    def add(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            key = finding.rule, finding.against
            noted = Noted(plan_id=finding.plan_id, what=finding.what, records=finding.records)
            if finding.verdict is Verdict.UNCLEAR:
                self._unclear[key].append(noted)
                continue
            self._checked[key] += 1
            if finding.verdict is Verdict.VIOLATED:
                self._violations[key].append(noted)

    def checks(self, why_not: dict[tuple[Rule, Against], str]) -> tuple[Check, ...]:
        """Every check; ``why_not`` names those that could not be made at all."""
        return tuple(self._check(key, why_not.get(key, "")) for key in MEANINGS)

    def _check(self, key: tuple[Rule, Against], why_not: str) -> Check:
        checked, violations, unclear = self._checked[key], self._violations[key], self._unclear[key]
        return Check(
            rule=key[0],
            against=key[1],
            meaning=MEANINGS[key],
            holds=not violations if checked else None,
            checked=checked,
            violations=tuple(violations),
            unclear=tuple(unclear),
            why_not=why_not or ("" if checked or unclear else "nothing to check"),
        )


def judged(
    rule: Rule, against: Against, plan_id: str, problems: Sequence[str], *records: str
) -> Iterator[Finding]:
    """One thing that was looked at: it holds, or each problem is a violation."""
    if not problems:
        yield Finding(rule=rule, against=against, verdict=Verdict.HOLDS, plan_id=plan_id)
    for problem in problems:
        yield Finding(
            rule=rule,
            against=against,
            verdict=Verdict.VIOLATED,
            plan_id=plan_id,
            what=problem,
            records=records,
        )


def unclear(rule: Rule, against: Against, plan_id: str, what: str, *records: str) -> Finding:
    """One thing that can't be judged, and why."""
    return Finding(
        rule=rule, against=against, verdict=Verdict.UNCLEAR, plan_id=plan_id, what=what, records=records
    )
