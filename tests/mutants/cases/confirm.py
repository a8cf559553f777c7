"""Confirming by fills and a read-back, and publishing."""

from typing import Final

from tests.mutants.mutant import Mutant

TITLE: Final = "Confirm and publish"
_CLOSE: Final = "tests/domain/test_close_rules.py::"
_PUBLISH: Final = "tests/journal/test_publish_outcome.py::"
_TOTAL: Final = "tests/domain/test_decide_total.py::"
_DATES: Final = "tests/venue/test_venue_position_dates.py::"
_RESOLVE: Final = "tests/journal/test_resolve.py::"
_GATE: Final = "tests/journal/test_gate.py::"

MUTANTS: Final = (
    Mutant(
        name="takes the remainder from a position read instead of the fills",
        rule="7",
        file="domain/waiting.py",
        old="    progress = state.progress\n    quantity = next_chunk(progress.remaining, position.amount, rules)\n",
        new="    progress = state.progress\n"
        "    done = abs(progress.sized.position.amount) - abs(position.amount) if progress.sized else 0\n"
        "    rest = progress.sized.target - done if progress.sized else progress.remaining\n"
        "    quantity = next_chunk(rest, position.amount, rules)\n",
        tests=(_CLOSE + "test_a_remainder_comes_from_the_fills_and_not_from_the_position",),
    ),
    Mutant(
        name="counts an order's own word instead of its trades",
        rule="7",
        file="domain/attempt.py",
        old="    if total != order.executed_qty:\n",
        new="    if total is None:\n",
        tests=(_CLOSE + "test_trades_are_awaited_until_they_add_up_to_what_the_order_says",),
    ),
    Mutant(
        name="counts a trade twice",
        rule="7",
        file="domain/close.py",
        old="fresh = tuple({trade.trade_id: trade for trade in fact.trades if trade.trade_id not in known}.values())",
        new="fresh = tuple({trade.trade_id: trade for trade in fact.trades if known is not None}.values())",
        tests=(
            _CLOSE + "test_more_fills_of_an_order_that_was_believed_ended_are_counted",
            _TOTAL + "test_saying_a_thing_twice_says_nothing_more_about_what_is_filled",
        ),
    ),
    Mutant(
        name="trusts a stale position read",
        rule="7",
        file="domain/sameness.py",
        old="return position.requested_at >= last and (position.update_time >= last or timeless(position))",
        new="return True",
        tests=(_CLOSE + "test_a_read_older_than_the_last_fill_does_not_count",),
    ),
    Mutant(
        name="trusts a position that was asked for before the last fill",
        rule="7",
        file="domain/sameness.py",
        old="return position.requested_at >= last and (",
        new="return (",
        tests=(_CLOSE + "test_a_read_requested_before_the_last_fill_does_not_count",),
    ),
    Mutant(
        name="serves a position from a read that was under way already",
        rule="7",
        file="venue/positions.py",
        old="        rows = await self._read(symbols.pop() if len(symbols) == 1 else None)\n",
        new="        rows = await self._read(symbols.pop() if len(symbols) == 1 else None)\n"
        "            late, self._waiting = self._waiting, []\n            batch += late\n",
        tests=(_DATES + "test_who_asks_while_a_read_is_under_way_is_served_by_the_next_one",),
    ),
    Mutant(
        name="dates a position by its answer instead of its request",
        rule="7",
        file="venue/client.py",
        old='return Reply(await self._fetch(http, method, endpoint, f"{endpoint.path}?{signed}"), requested_at)',
        new='body = await self._fetch(http, method, endpoint, f"{endpoint.path}?{signed}")\n'
        "            return Reply(body, self.clock.earliest())",
        tests=(_DATES + "test_a_read_holds_from_before_its_request_left_however_late_the_answer_comes",),
    ),
    Mutant(
        name="believes a doubtful end at once",
        rule="7",
        file="domain/attempt.py",
        old="    if not order.doubtful:\n",
        new="    if order is not None:\n",
        tests=(_CLOSE + "test_an_end_without_fills_is_looked_at_again_before_it_is_believed",),
    ),
    Mutant(
        name="believes an end without fills although the position moved",
        rule="7",
        file="domain/attempt.py",
        old='if own or order.status == "FILLED" or not explained(before, evidence.position, evidence.trades):',
        new='if own or order.status == "FILLED":',
        tests=(
            "tests/domain/test_ends_of_orders.py::test_an_end_without_fills_is_not_believed_while_the_position_says_otherwise",
        ),
    ),
    Mutant(
        name="takes a working order for ended",
        rule="7",
        file="domain/attempt.py",
        old="case steps.TradesRead() if state.order.terminal:",
        new="case steps.TradesRead():",
        tests=("tests/domain/test_ends_of_orders.py::test_the_trades_of_an_order_that_works_do_not_end_it",),
    ),
    Mutant(
        name="lets old news shrink the fills of an order",
        rule="7",
        file="domain/close.py",
        old="return seen if seen.executed_qty >= known.executed_qty else known",
        new="return seen",
        tests=(_CLOSE + "test_fills_never_shrink_and_an_end_stays_an_end",),
    ),
    Mutant(
        name="says FLAT without a position read",
        rule="I7",
        file="domain/readback.py",
        old="    if position.amount == 0:\n        return flat(progress, OutcomeKind.FLAT, position, event.rules, policy)\n"
        "    if progress.ending",
        new="    if position.amount is not None:\n"
        "        return flat(progress, OutcomeKind.FLAT, position, event.rules, policy)\n    if progress.ending",
        tests=(_CLOSE + "test_a_full_close_that_left_something_nobody_added_is_sized_again",),
    ),
    Mutant(
        name="claims what somebody added to the position",
        rule="7",
        file="domain/readback.py",
        old="if late or increased(position.amount, others):",
        new="if late:",
        tests=(_CLOSE + "test_a_full_close_that_left_what_somebody_added_since_leaves_it",),
    ),
    Mutant(
        name="leaves the rest of a close whose sizing was stale",
        rule="7",
        file="domain/readback.py",
        old="if late or increased(position.amount, others):",
        new="if late or position.amount:",
        tests=(_CLOSE + "test_a_full_close_that_left_something_nobody_added_is_sized_again",),
    ),
    Mutant(
        name="says executed=True without fills",
        rule="I7",
        file="domain/report.py",
        old="executed=confirmed and bool(progress.filled),",
        new="executed=True,",
        tests=("tests/domain/test_report.py::test_executed_is_what_fills_and_a_read_back_say",),
    ),
    Mutant(
        name="says executed=True before the read-back",
        rule="I7",
        file="domain/report.py",
        old="executed=confirmed and bool(progress.filled),",
        new="executed=bool(progress.filled),",
        tests=("tests/domain/test_report.py::test_executed_is_what_fills_and_a_read_back_say",),
    ),
    Mutant(
        name="publishes a confirmation of what was not executed",
        rule="I7",
        file="services/announcing.py",
        old="        if report.executed:\n",
        new="        if report is not None:\n",
        tests=(
            "tests/services/test_engine.py::test_only_what_was_executed_is_confirmed_to_the_apply_stream",
        ),
    ),
    Mutant(
        name="publishes without looking where the chain stands",
        rule="8",
        file="journal/scripts/publish.lua",
        old=" or moved_on(KEYS[1], ARGV[3])",
        new="",
        tests=(
            _PUBLISH + "test_a_stale_outcome_is_not_said_at_all",
            _GATE + "test_a_chain_that_moved_on_is_refused",
        ),
    ),
    Mutant(
        name="publishes without the lease",
        rule="8",
        file="journal/scripts/publish.lua",
        old="  or fenced(KEYS[4], ARGV[1], ARGV[2])\n",
        new="",
        tests=(_GATE + "test_a_stale_lease_is_refused",),
    ),
    Mutant(
        name="acknowledges before the outcome is durable",
        rule="I3",
        file="services/execution.py",
        old='            return Keep("close")\n',
        new="            told.append(asyncio.create_task(self.acknowledge((entry,))))\n"
        '            return Keep("close")\n',
        tests=("tests/services/test_execution.py::test_an_entry_is_pending_until_its_outcome_is_durable",),
    ),
    Mutant(
        name="publishes an outcome without acknowledging its entry",
        rule="8",
        file="journal/scripts/publish.lua",
        old="  redis.call('XACK', KEYS[7], ARGV[7], unpack(ARGV, at + first, at + math.min(first + 999, entries)))\n",
        new="",
        tests=(_PUBLISH + "test_everything_is_said_and_done_at_once",),
    ),
    Mutant(
        name="publishes an outcome without its record",
        rule="I3",
        file="journal/scripts/publish.lua",
        old="record(KEYS[1], KEYS[2], ARGV[4], 8)\n",
        new="",
        tests=(_PUBLISH + "test_everything_is_said_and_done_at_once",),
    ),
    Mutant(
        name="keeps the flight after the outcome",
        rule="I4",
        file="journal/scripts/publish.lua",
        old="  if flights[index + 1] == ARGV[4] then\n",
        new="  if flights[index + 1] == '' then\n",
        tests=(_GATE + "test_flight_is_kept_between_attempts_and_released_with_the_outcome",),
    ),
    Mutant(
        name="releases the flight of another close",
        rule="I4",
        file="journal/scripts/publish.lua",
        old="  if flights[index + 1] == ARGV[4] then\n",
        new="  if flights[index + 1] then\n",
        tests=(_GATE + "test_an_outcome_does_not_release_anothers_flight",),
    ),
    Mutant(
        name="forgets a close that waits for a person",
        rule="6",
        file="journal/scripts/publish.lua",
        old="  redis.call('ZADD', KEYS[6], ARGV[#ARGV - 1], ARGV[4])\n",
        new="",
        tests=(_RESOLVE + "test_a_parked_close_is_listed_releases_its_flight_and_is_open_no_more",),
    ),
    Mutant(
        name="does not take up what was unfinished",
        rule="I10",
        file="services/engine.py",
        old="for plan in await self._tools.journal.open_plans() if plan not in self._closings]",
        new="for plan in await self._tools.journal.open_plans() if plan in self._closings]",
        tests=(
            "tests/services/test_engine.py::test_after_a_restart_the_close_whose_order_is_in_flight_comes_first",
        ),
    ),
    Mutant(
        name="takes an order of its prefix that nobody journalled for its own",
        rule="I9",
        file="services/alarms/strangers.py",
        old="            if plan is None and not lost and self._leads():\n",
        new="            if ours is None:\n",
        tests=(
            "tests/services/test_strangers.py::test_an_order_of_our_prefix_that_the_journal_never_sent_is_a_breach",
        ),
    ),
)
