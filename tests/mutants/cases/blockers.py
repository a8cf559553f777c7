"""Orders of the account that wait at the venue: which may be cancelled, when, and what is written first."""

from typing import Final

from tests.mutants.mutant import Mutant

TITLE: Final = "Resting orders"
_BLOCKED: Final = "tests/domain/test_blocked.py::"
_TIDYING: Final = "tests/domain/test_tidying.py::"
_PERMIT: Final = "tests/journal/test_permit.py::"

MUTANTS: Final = (
    Mutant(
        name="cancels without a durable record",
        rule="I1",
        file="journal/scripts/permit.lua",
        old="record(KEYS[1], KEYS[2], ARGV[4], 7)\n",
        new="",
        tests=(_PERMIT + "test_what_is_about_to_be_done_is_durable_when_it_is_permitted",),
    ),
    Mutant(
        name="does not note what it is about to cancel",
        rule="I1",
        file="domain/waiting.py",
        old="        return Step(\n            after,\n            (clearing,),\n",
        new="        return Step(\n            after,\n            (),\n",
        tests=(_BLOCKED + "test_what_is_about_to_be_cancelled_is_written_first_and_what_is_gone_afterwards",),
    ),
    Mutant(
        name="cancels under freeze",
        rule="I6",
        file="services/closing.py",
        old="        if verdict is not Verdict.OK:\n            return steps.GateRefused(now=self._now(), reason=verdict.lower())\n",
        new="",
        tests=("tests/services/test_closing.py::test_under_freeze_nothing_is_cancelled",),
    ),
    Mutant(
        name="permits a cancel without grant or warrant",
        rule="I6",
        file="journal/scripts/permit.lua",
        old="  or forbidden(KEYS[7], KEYS[6], KEYS[5], ARGV[4], ARGV[6], KEYS[12], KEYS[13], ARGV[2])\n",
        new="",
        tests=(_PERMIT + "test_without_the_grant_or_under_freeze_nothing_is_permitted",),
    ),
    Mutant(
        name="cancels other people's orders that do not reduce",
        rule="5",
        file="domain/resting.py",
        old="if order.reduces and order.side is closing and",
        new="if order.side is closing and",
        tests=(_BLOCKED + "test_only_reducing_orders_of_that_side_of_that_position_are_cancelled",),
    ),
    Mutant(
        name="cancels orders of the other side of hedge mode",
        rule="5",
        file="domain/resting.py",
        old="order.side is closing and order.position_side is position.position_side",
        new="order.side is closing",
        tests=(_BLOCKED + "test_only_reducing_orders_of_that_side_of_that_position_are_cancelled",),
    ),
    Mutant(
        name="cancels blockers before the venue has refused",
        rule="5",
        file="domain/waiting.py",
        old="    if progress.refused_with not in BLOCKED or not progress.attempts:\n        return False\n",
        new="    if not progress.attempts:\n        return True\n",
        tests=(_BLOCKED + "test_nothing_is_looked_for_before_the_venue_has_refused",),
    ),
    Mutant(
        name="blames resting orders for a position that had moved",
        rule="5",
        file="domain/waiting.py",
        old="return position.amount == progress.attempts[-1].position.amount or progress.refusals >= _FEW",
        new="return True",
        tests=(_BLOCKED + "test_a_refusal_on_a_position_that_has_moved_is_not_blamed_on_resting_orders",),
    ),
    Mutant(
        name="cancels although it is told to clear nothing",
        rule="5",
        file="domain/resting.py",
        old="if policy.clears is Clears.NONE:",
        new="if policy.clears is None:",
        tests=(_BLOCKED + "test_a_policy_that_clears_nothing_cancels_nothing",),
    ),
    Mutant(
        name="believes that a cancel worked",
        rule="5",
        file="domain/waiting.py",
        old="    if left and state.tries < policy.patience and",
        new="    if left and state.tries < 0 and",
        tests=(_BLOCKED + "test_only_a_later_list_proves_that_an_order_is_gone",),
    ),
    Mutant(
        name="sends the next attempt with the position from before the cancels",
        rule="I5",
        file="domain/waiting.py",
        old="    return settled(fresh, facts.Cleared(why=clearing.why, gone=gone, left=left), policy)\n",
        new="    cleared = facts.Cleared(why=clearing.why, gone=gone, left=left)\n"
        "    after = evolve(state, cleared)\n"
        "    quantity = next_chunk(progress.remaining, position.amount, rules)\n"
        "    return Step(after, (cleared,), _attempt(after.progress, position, rules, quantity, policy))\n",
        tests=(
            _BLOCKED
            + "test_the_position_is_read_again_after_a_cancel_for_the_order_may_have_been_filled_first",
        ),
    ),
    Mutant(
        name="cancels what was placed for a new position",
        rule="5",
        file="domain/resting.py",
        old=" and order.time <= flat.update_time",
        new="",
        tests=(_TIDYING + "test_orders_placed_since_the_position_became_flat_are_for_the_next_one",),
    ),
    Mutant(
        name="cancels leftovers that do not reduce",
        rule="5",
        file="domain/resting.py",
        old="if order.reduces and order.position_side is flat.position_side",
        new="if order.position_side is flat.position_side",
        tests=(_TIDYING + "test_what_reduces_nothing_or_another_position_is_left_alone",),
    ),
    Mutant(
        name="holds up an outcome for leftovers that can not be cancelled",
        rule="L1",
        file="domain/tidying.py",
        old="    if left and state.tries < _TRIES:\n",
        new="    if left:\n",
        tests=(_TIDYING + "test_what_can_not_be_cancelled_holds_up_no_outcome_and_is_told",),
    ),
    Mutant(
        name="takes half a list of resting orders for all",
        rule="5",
        file="venue/rest.py",
        old="[*conditional, *booked]\n        if any(",
        new="[*booked]\n        if any(",
        tests=(
            "tests/venue/test_venue_reads.py::test_what_rests_is_what_waits_in_the_book_and_what_waits_for_its_trigger",
        ),
    ),
)
