"""What became of a wish, and when it is made again."""

from decimal import Decimal
from typing import Any, Final

import msgspec
import pytest

from sureclose.domain.harvest.episodes import Followed
from sureclose.domain.harvest.policy import Proposal
from sureclose.domain.harvest.wishes import (
    FIRST_PAUSE_MS,
    LONGEST_PAUSE_MS,
    SETTLED_MS,
    VALID_MS,
    Fate,
    Kept,
    Wish,
    asked,
    decode,
    encode,
    ended,
    fate_of_kind,
    fate_of_report,
    fate_unbegun,
    intent_id_of,
    number_of,
    seen,
    why_not_now,
)
from sureclose.domain.outcome import BELOW_STEP, Outcome, OutcomeKind, Report
from tests.domain.harvest.views import NOW, episode

RUNG: Final = Proposal(name="rung-1", action="PARTIAL_CLOSE", quantity=Decimal(2), rung=1, reason="so")
KILL: Final = Proposal(name="kill", action="FULL_CLOSE_PROPOSED", fraction=Decimal(1), reason="so")

HARD_LOSS: Final = msgspec.structs.replace(KILL, name="hard-loss")


def followed(name: str = "an episode") -> Followed:
    return Followed(
        symbol="ETHUSDT",
        position_side="BOTH",
        amount=Decimal(8),
        open_at=NOW,
        episode=episode("8", name=name),
    )


def wish(name: str = "kill", *, amount: str = "all", **more: Any) -> Wish:
    known = Wish(
        name=name,
        number=1,
        intent_id="i",
        plan_id="p",
        action="CLOSE",
        amount=amount,
        at=NOW,
        expires_at=NOW + VALID_MS,
        rung_before=0,
    )
    return msgspec.structs.replace(known, **more)


def report(kind: OutcomeKind, filled: str = "0") -> Report:
    return Report(
        intent_id="i",
        plan_id="p",
        symbol="ETHUSDT",
        position_side="BOTH",
        outcome=Outcome(kind),
        executed=False,
        filled_qty=Decimal(filled),
        avg_price=None,
        position_before=None,
        position_after=None,
        order_ids=(),
        client_order_ids=(),
        evidence="",
    )


@pytest.mark.parametrize(
    ("kind", "filled", "full", "part"),
    [
        (OutcomeKind.FLAT, "8", Fate.TAKEN, Fate.TAKEN),
        (OutcomeKind.ALREADY_FLAT, "0", Fate.TAKEN, Fate.TAKEN),
        (OutcomeKind.REDUCED, "2", Fate.UNTAKEN, Fate.TAKEN),
        (OutcomeKind.SKIPPED, "0", Fate.UNTAKEN, Fate.UNTAKEN),
        (OutcomeKind.REFUSED, "0", Fate.UNTAKEN, Fate.UNTAKEN),
        (OutcomeKind.REFUSED, "1", Fate.UNTAKEN, Fate.TAKEN),
        (OutcomeKind.PARKED, "0", Fate.PARKED, Fate.PARKED),
        (OutcomeKind.PARKED, "1", Fate.PARKED, Fate.PARKED),
    ],
)
def test_what_closed_a_part_is_never_made_again_and_what_left_a_rest_of_a_full_close_is(
    kind: OutcomeKind, filled: str, full: Fate, part: Fate
) -> None:
    assert fate_of_report(wish(), report(kind, filled)) is full
    assert fate_of_report(wish("rung-1", amount="2"), report(kind, filled)) is part


def test_of_what_has_left_the_log_only_a_refusal_had_surely_no_effect_on_a_part() -> None:
    part = wish("rung-1", amount="2")
    assert fate_of_kind(part, OutcomeKind.REFUSED) is Fate.UNTAKEN
    assert fate_of_kind(part, OutcomeKind.REDUCED) is Fate.TAKEN
    assert fate_of_kind(wish(), OutcomeKind.REDUCED) is Fate.UNTAKEN
    assert fate_of_kind(wish(), OutcomeKind.FLAT) is Fate.TAKEN


def test_what_nobody_began_is_over_when_nobody_can_any_more() -> None:
    last = NOW + VALID_MS + SETTLED_MS
    assert fate_unbegun(wish(), last) is Fate.PENDING
    assert fate_unbegun(wish(), last + 1) is Fate.UNTAKEN


def test_one_wish_at_a_time_for_each_position() -> None:
    kept = asked(Kept(followed=followed()), RUNG, wish("rung-1", amount="2"))
    assert kept.followed.episode.rung == 1
    assert why_not_now(kept, KILL, NOW + 10**9) == "rung-1 is under way"
    taken = ended(kept, Fate.TAKEN, "REDUCED", NOW + 5)
    assert why_not_now(taken, KILL, NOW + 6) == ""
    assert (taken.followed.episode.rung, taken.followed.episode.asked) == (1, frozenset({"rung-1"}))


def test_a_close_of_everything_does_not_wait_for_a_person_who_has_a_part_to_resolve() -> None:
    kept = asked(Kept(followed=followed()), RUNG, wish("rung-1", amount="2"))
    parked = ended(kept, Fate.PARKED, "PARKED(contradiction)", NOW + 5)
    rung = msgspec.structs.replace(RUNG, name="rung-2")
    assert "parked" in why_not_now(parked, rung, NOW + 10**9)
    assert why_not_now(parked, HARD_LOSS, NOW + 6) == ""
    assert (parked.followed.episode.rung, number_of(parked, "rung-1")) == (1, 2)
    # One that is itself parked is not made again beside itself.
    kept = asked(parked, HARD_LOSS, wish("hard-loss"))
    assert "parked" in why_not_now(ended(kept, Fate.PARKED, "PARKED", NOW + 7), HARD_LOSS, NOW + 10**9)


def test_a_rung_without_effect_is_not_taken_and_is_made_again_later() -> None:
    kept = asked(Kept(followed=followed()), RUNG, wish("rung-1", amount="2"))
    untaken = ended(kept, Fate.UNTAKEN, "SKIPPED(frozen)", NOW + 100)
    assert (untaken.followed.episode.rung, untaken.followed.episode.asked) == (0, frozenset())
    assert number_of(untaken, "rung-1") == 2
    assert "SKIPPED(frozen)" in why_not_now(untaken, RUNG, NOW + VALID_MS)
    assert why_not_now(untaken, RUNG, NOW + VALID_MS + 100) == ""
    # Another proposal, such as one that protects, need not wait for it.
    assert why_not_now(untaken, HARD_LOSS, NOW + 101) == ""


def test_a_rung_below_the_step_is_not_made_again_and_the_next_one_asks_for_both() -> None:
    kept = asked(Kept(followed=followed()), RUNG, wish("rung-1", amount="0.0002"))
    refused = msgspec.structs.replace(
        report(OutcomeKind.REFUSED), outcome=Outcome(OutcomeKind.REFUSED, BELOW_STEP)
    )
    assert kept.wish is not None
    fate = fate_of_report(kept.wish, refused)
    assert (fate, fate_of_report(wish(), refused)) == (Fate.TOO_SMALL, Fate.UNTAKEN)
    over = ended(kept, fate, "REFUSED(below_step)", NOW + 5)
    # Its name is held back where a policy is asked, and its share is still to be asked for.
    assert (over.followed.episode.rung, over.followed.episode.asked) == (0, frozenset({"rung-1"}))
    assert why_not_now(over, msgspec.structs.replace(RUNG, name="rung-2", rung=2), NOW + 6) == ""


@pytest.mark.parametrize(("number", "pause"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 10), (50, 10)])
def test_the_pauses_grow_up_to_ten_minutes(number: int, pause: int) -> None:
    late = wish(number=number, ended_at=NOW + VALID_MS, fate=Fate.UNTAKEN)
    assert late.again_at == NOW + VALID_MS + pause * FIRST_PAUSE_MS
    assert pause * FIRST_PAUSE_MS <= LONGEST_PAUSE_MS


def test_another_episode_knows_nothing_of_the_wishes_of_the_last() -> None:
    kept = asked(Kept(followed=followed()), KILL, wish())
    assert seen(kept, followed("another")) == Kept(followed=followed("another"))
    assert seen(kept, kept.followed) == kept


def test_the_name_of_a_wish_knows_no_clock_and_no_two_tries_share_it() -> None:
    names = {
        intent_id_of("paper:main", policy, followed(of), name, number)
        for policy in ("reference", "other")
        for of in ("an episode", "another")
        for name in ("kill", "rung-1")
        for number in (1, 2, 3)
    }
    assert len(names) == 24
    one, again = (intent_id_of("paper:main", "reference", followed(), "kill", 1) for _ in range(2))
    assert one == again


def test_a_book_comes_back_as_it_was_written() -> None:
    kept = asked(Kept(followed=followed()), RUNG, wish("rung-1", amount="2"))
    assert decode(encode(kept)) == kept
    assert encode(decode(encode(kept))) == encode(kept)
    with pytest.raises(ValueError, match="unknown"):
        decode(encode(kept)[:-1] + b',"unknown":1}')
