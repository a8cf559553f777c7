"""Sizing: from the venue's position, on the step, and never more than is there."""

from typing import Final

from tests.mutants.mutant import Mutant

TITLE: Final = "Size"
_CLOSE: Final = "tests/domain/test_close_rules.py::"
_SIDES: Final = "tests/domain/test_sides_and_sizes.py::"
_QUANTITY: Final = "tests/domain/test_quantity.py::"

MUTANTS: Final = (
    Mutant(
        name="does not clamp an order to the live position",
        rule="I5",
        file="domain/quantity.py",
        old="open_quantity = min(remaining, abs(position))",
        new="open_quantity = remaining",
        tests=(_CLOSE + "test_an_order_is_never_larger_than_the_position_as_read_for_the_gate",),
    ),
    Mutant(
        name="does not split an order above the venue's maximum",
        rule="2",
        file="domain/quantity.py",
        old="    if open_quantity <= rules.max_qty:\n",
        new="    if open_quantity <= rules.max_qty or rules.max_qty:\n",
        tests=(_CLOSE + "test_an_oversized_close_is_split_and_leaves_no_rest_below_the_minimum",),
    ),
    Mutant(
        name="splits so that the rest is below the minimum",
        rule="2",
        file="domain/quantity.py",
        old="return on_step(rules.max_qty - max(ZERO, rules.min_qty - left), rules)",
        new="return on_step(rules.max_qty, rules)",
        tests=(
            _CLOSE + "test_an_oversized_close_is_split_and_leaves_no_rest_below_the_minimum",
            _QUANTITY + "test_chunks_add_up_to_all_that_can_be_ordered",
        ),
    ),
    Mutant(
        name="splits by the larger of the two lot sizes",
        rule="2",
        file="venue/filters.py",
        old="max_qty = min((lot.max_qty",
        new="max_qty = max((lot.max_qty",
        tests=("tests/venue/test_venue_rules.py::test_rules_are_the_tighter_of_the_two_lot_sizes",),
    ),
    Mutant(
        name="rounds up to the step",
        rule="2",
        file="domain/quantity.py",
        old="rounding=ROUND_DOWN",
        new='rounding="ROUND_UP"',
        tests=(_QUANTITY + "test_a_quantity_is_rounded_down_to_what_the_venue_takes",),
    ),
    Mutant(
        name="sizes with floats",
        rule="2",
        file="domain/quantity.py",
        old="    wanted = abs(position) * (Decimal(1) if fraction is None else fraction)\n",
        new="    wanted = Decimal(float(abs(position)) * (1.0 if fraction is None else float(fraction)))\n",
        tests=(_SIDES + "test_all_of_a_position_is_all_of_it_to_the_last_digit",),
    ),
    Mutant(
        name="takes a stated quantity for exact instead of for a maximum",
        rule="2",
        file="domain/quantity.py",
        old="wanted = min(wanted, quantity)",
        new="wanted = quantity",
        tests=(_QUANTITY + "test_the_target_is_the_smaller_of_fraction_and_quantity",),
    ),
    Mutant(
        name="sizes a second half on the position that the first has not closed yet",
        rule="2",
        file="domain/sameness.py",
        old="binds = progress.fixed and ",
        new="binds = progress.sized is not None and ",
        tests=(_CLOSE + "test_the_target_is_fixed_with_the_flight_and_not_before",),
    ),
    Mutant(
        name="fixes the target anew with each attempt",
        rule="2",
        file="domain/waiting.py",
        old="    if progress.sized is not None:\n        return _gate(state, position, rules, (), policy)\n",
        new="",
        tests=(_CLOSE + "test_the_target_is_fixed_by_the_first_sizing_whatever_others_do",),
    ),
    Mutant(
        name="takes the side of the order from the event",
        rule="I5",
        file="domain/sameness.py",
        old="return Side.SELL if position.amount > 0 else Side.BUY",
        new="return Side.SELL if position.position_side is not PositionSide.SHORT else Side.BUY",
        tests=(_SIDES + "test_the_side_is_against_the_sign_of_the_position_as_read",),
    ),
    Mutant(
        name="sizes a part of a position that lags behind its trades",
        rule="2",
        file="domain/waiting.py",
        old=" or behind(position, history):\n",
        new=":\n",
        tests=(_CLOSE + "test_a_part_is_not_taken_of_a_position_that_lags_behind_its_trades",),
    ),
    Mutant(
        name="passes the gate with a position read before a long wait for a slot",
        rule="2",
        file="services/closing.py",
        old="if timestamp - effect.position.requested_at > STALE_POSITION_MS:",
        new="if timestamp < 0:",
        tests=(
            "tests/services/test_closing.py::test_after_a_long_wait_for_a_slot_the_position_is_read_again",
        ),
    ),
    Mutant(
        name="believes the stream's word that a position is flat",
        rule="2",
        file="venue/book.py",
        old="if known is None or not known.amount or not self._clock.measured:",
        new="if known is None or not self._clock.measured:",
        tests=("tests/venue/test_venue_book.py::test_the_stream_never_proves_flat",),
    ),
    Mutant(
        name="sizes by a stream that has fallen silent",
        rule="2",
        file="venue/book.py",
        old="now - heard_at <= self._fresh and ",
        new="",
        tests=("tests/venue/test_venue_book.py::test_a_silent_stream_sizes_nothing",),
    ),
    Mutant(
        name="sizes a part by the stream's word",
        rule="2",
        file="domain/sameness.py",
        old="not progress.attempts and progress.full and young",
        new="not progress.attempts and young",
        tests=("tests/services/test_closing.py::test_the_streams_word_sizes_all_of_a_position_and_no_part",),
    ),
    Mutant(
        name="takes a failed position read for flat",
        rule="I7",
        file="venue/positions.py",
        old="        except VenueError as error:\n            _fail(batch, error)\n",
        new="        except VenueError:\n            for waiter in batch:\n"
        "                waiter.answer.set_result(Position(symbol=waiter.symbol, position_side=waiter.position_side,\n"
        "                    amount=0, entry_price=0, mark_price=0, update_time=0, requested_at=0))\n",
        tests=(
            "tests/venue/test_venue_positions.py::test_a_failed_read_fails_all_who_waited_for_it_and_nobody_else",
        ),
    ),
    Mutant(
        name="takes a missing row for flat",
        rule="I7",
        file="venue/positions.py",
        old="    if asked is None:\n        raise",
        new="    if asked is None and rows:\n        raise",
        tests=("tests/venue/test_venue_reads.py::test_a_missing_row_does_not_mean_flat",),
    ),
)
