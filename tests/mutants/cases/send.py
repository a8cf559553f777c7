"""Sending once, and what an answer means."""

from typing import Final

from tests.mutants.mutant import Mutant

TITLE: Final = "Send once and classify"
_PLACE: Final = "tests/venue/test_venue_place.py::"
_CODES: Final = "tests/venue/test_venue_codes.py::"
_LIMITS: Final = "tests/venue/test_venue_limits.py::"
_CLOSE: Final = "tests/domain/test_close_rules.py::"

MUTANTS: Final = (
    Mutant(
        name="drops the reducing flag",
        rule="I5",
        file="venue/orders.py",
        old='reducing = [("reduceOnly", "true")] if order.position_side is PositionSide.BOTH else []',
        new="reducing = []",
        tests=(_PLACE + "test_an_order_is_one_signed_form_that_reduces_and_carries_its_own_timestamp",),
    ),
    Mutant(
        name="sends the reducing flag in hedge mode",
        rule="4",
        file="venue/orders.py",
        old='reducing = [("reduceOnly", "true")] if order.position_side is PositionSide.BOTH else []',
        new='reducing = [("reduceOnly", "true")]',
        tests=(_PLACE + "test_in_hedge_mode_the_side_reduces_and_the_flag_is_left_out",),
    ),
    Mutant(
        name="allows the side that adds to a position in hedge mode",
        rule="I5",
        file="venue/port.py",
        old="if self.side is not _REDUCING_SIDE.get(self.position_side, self.side):",
        new="if self.side is not self.side:",
        tests=(_PLACE + "test_an_order_that_could_not_reduce_can_not_be_written_down",),
    ),
    Mutant(
        name="asks for no result with the answer",
        rule="4",
        file="venue/orders.py",
        old='("newOrderRespType", "RESULT"),',
        new='("newOrderRespType", "ACK"),',
        tests=(_PLACE + "test_an_order_is_one_signed_form_that_reduces_and_carries_its_own_timestamp",),
    ),
    Mutant(
        name="writes a quantity with an exponent",
        rule="4",
        file="domain/ids.py",
        old='return format(number, "f")',
        new="return str(number)",
        tests=(_PLACE + "test_no_quantity_reaches_the_wire_with_an_exponent",),
    ),
    Mutant(
        name="sends a bounded order that may rest",
        rule="4",
        file="venue/orders.py",
        old='("timeInForce", "IOC"),',
        new='("timeInForce", "GTC"),',
        tests=(_PLACE + "test_with_a_price_it_is_a_limit_order_that_never_rests_and_still_reduces",),
    ),
    Mutant(
        name="prices a bounded order outside the venue's band",
        rule="4",
        file="domain/price.py",
        old="mark * (1 + (rules.multiplier_up - 1) * _SHARE)",
        new="mark * (1 + (rules.multiplier_up - 1) * 2)",
        tests=(
            "tests/domain/test_band.py::test_a_price_is_on_the_tick_inside_the_band_and_on_the_side_that_fills",
        ),
    ),
    Mutant(
        name="bounds the price of every order",
        rule="4",
        file="domain/waiting.py",
        old="if progress.refused_with == MARKET_ORDER_REJECT else None",
        new="",
        tests=("tests/domain/test_band.py::test_only_that_refusal_asks_for_a_limit_price",),
    ),
    Mutant(
        name="repeats an order in the transport",
        rule="4",
        file="venue/transport.py",
        old='        return await self.request("POST", target, body)\n',
        new='        try:\n            return await self.request("POST", target, body)\n'
        '        except NoAnswer:\n            return await self.request("POST", target, body)\n',
        tests=(_PLACE + "test_whatever_proves_nothing_is_unanswered_and_asked_once",),
    ),
    Mutant(
        name="lets the HTTP client repeat an order on a dead connection",
        rule="4",
        file="venue/transport.py",
        old='        return await self.request("POST", target, body)\n',
        new="        aiohttp.client.IDEMPOTENT_METHODS = frozenset({'POST', 'GET'})\n"
        '        return await self.request("POST", target, body)\n',
        tests=(_PLACE + "test_aiohttp_repeats_a_read_on_a_dead_kept_connection_but_never_an_order",),
    ),
    Mutant(
        name="follows a redirect with an order",
        rule="4",
        file="venue/transport.py",
        old="allow_redirects=False,",
        new="allow_redirects=True,",
        tests=(_PLACE + "test_a_redirect_takes_no_order_elsewhere",),
    ),
    Mutant(
        name="signs and sends again after a refused timestamp",
        rule="4",
        file="venue/rest.py",
        old="        if isinstance(verdict, Refusal):\n            self._learn(verdict)\n",
        new="        if isinstance(verdict, Refusal):\n            if verdict.code == -1021:\n"
        "                await client.post_order(parameters(order))\n            self._learn(verdict)\n",
        tests=("tests/venue/test_venue_once.py::test_a_refusal_whatever_it_says_is_the_end_of_the_request",),
    ),
    Mutant(
        name="takes a 503 with a code for a refusal",
        rule="5",
        file="venue/errors.py",
        old="if http_status == 408 or not 400 <= http_status < 500:",
        new="if http_status == 408 or not 400 <= http_status < 600:",
        tests=(_CODES + "test_a_server_in_trouble_proves_nothing_whatever_it_says",),
    ),
    Mutant(
        name="takes a 503 that says 'unknown error' for a refusal",
        rule="5",
        file="venue/errors.py",
        old="    if http_status == 408 or not 400 <= http_status < 500:\n",
        new="    if http_status == 503 and 'Unknown error' in body:\n        return refusal(Class.RETRY)\n"
        "    if http_status == 408 or not 400 <= http_status < 500:\n",
        tests=(_PLACE + "test_whatever_proves_nothing_is_unanswered_and_asked_once",),
    ),
    Mutant(
        name="takes a 503 that says 'service unavailable' for a refusal",
        rule="5",
        file="venue/errors.py",
        old="    if http_status == 408 or not 400 <= http_status < 500:\n",
        new="    if http_status == 503 and 'Service Unavailable' in body:\n        return refusal(Class.RETRY)\n"
        "    if http_status == 408 or not 400 <= http_status < 500:\n",
        tests=(_PLACE + "test_whatever_proves_nothing_is_unanswered_and_asked_once",),
    ),
    Mutant(
        name="takes a code that says 'execution unknown' for a refusal",
        rule="5",
        file="venue/errors.py",
        old="    if row is not None and row.kind is Class.RESOLVE:\n        return unknown\n",
        new="",
        tests=(_CODES + "test_execution_unknown_is_never_a_refusal_whatever_the_status",),
    ),
    Mutant(
        name="takes a code that it does not know for a refusal",
        rule="5",
        file="venue/errors.py",
        old="        return refusal(row.kind)\n    return unknown\n",
        new="        return refusal(row.kind)\n    return refusal(Class.RETRY)\n",
        tests=(_CODES + "test_no_answer_raises_and_none_is_a_refusal_that_is_not_proven",),
    ),
    Mutant(
        name="takes a cut connection for 'not sent'",
        rule="5",
        file="venue/rest.py",
        old="            return Unanswered(reason=str(error))\n        verdict",
        new="            return NotSent(str(error))\n        verdict",
        tests=(_PLACE + "test_whatever_proves_nothing_is_unanswered_and_asked_once",),
    ),
    Mutant(
        name="takes an answer about another order for its own",
        rule="5",
        file="venue/orders.py",
        old="if report.client_order_id != order.client_order_id:",
        new='if report.client_order_id == "":',
        tests=(_PLACE + "test_whatever_proves_nothing_is_unanswered_and_asked_once",),
    ),
    Mutant(
        name="sends again when something else comes before the answer",
        rule="I2",
        file="domain/attempt.py",
        old="            # Never sent twice: whatever else happens here, the attempt's fate is now to be asked for.\n",
        new="            return Step(state, (), standing(state, policy))\n",
        tests=(_CLOSE + "test_whatever_else_comes_while_an_attempt_is_out_it_is_not_sent_again",),
    ),
    Mutant(
        name="treats an unanswered request as one that came to nothing",
        rule="I2",
        file="domain/close.py",
        old="    if fact.answer is facts.Answer.UNKNOWN:\n",
        new="    if fact.answer is None:\n",
        tests=(_CLOSE + "test_a_lost_order_is_dead_after_window_margin_and_spread_and_not_much_later",),
    ),
    Mutant(
        name="ends nothing after any number of refusals",
        rule="5",
        file="domain/attempt.py",
        old="if hopeless or after.progress.refusals > policy.setbacks:",
        new="if hopeless:",
        tests=(_CLOSE + "test_refusals_in_a_row_come_to_an_end",),
    ),
    Mutant(
        name="ignores Retry-After",
        rule="5",
        file="venue/limits.py",
        old="return int(text) * 1000 if",
        new="return 0 if",
        tests=(_LIMITS + "test_retry_after_is_seconds_or_nothing",),
    ),
    Mutant(
        name="does not wait as long as the venue says",
        rule="5",
        file="domain/attempt.py",
        old="asked = (refusal.retry_after_ms or policy.longest_wait) if",
        new="asked = 0 if",
        tests=(_CLOSE + "test_being_told_to_wait_is_no_setback_and_is_obeyed",),
    ),
    Mutant(
        name="lets the least urgent order go first",
        rule="section 5",
        file="venue/slots.py",
        old="(urgency, since, next(self._arrival), waiter)",
        new="(-urgency, since, next(self._arrival), waiter)",
        tests=(_LIMITS + "test_the_most_urgent_goes_next_then_the_oldest_then_who_came_first",),
    ),
    Mutant(
        name="lets the youngest wish go first",
        rule="section 5",
        file="venue/slots.py",
        old="(urgency, since, next(self._arrival), waiter)",
        new="(urgency, -since, next(self._arrival), waiter)",
        tests=(_LIMITS + "test_the_most_urgent_goes_next_then_the_oldest_then_who_came_first",),
    ),
    Mutant(
        name="gives what protects the urgency of a part",
        rule="section 5",
        file="services/posting.py",
        old="    if decision.action in _PANIC:\n        return Urgency.PANIC\n",
        new="    if decision.action in _PANIC:\n        return Urgency.PARTIAL\n",
        tests=(
            "tests/services/test_closing.py::test_what_protects_goes_before_full_closes_and_these_before_parts",
        ),
    ),
    Mutant(
        name="lets reads that observe use up the weight that closes need",
        rule="section 5",
        file="venue/limits.py",
        old="share = 1.0 if purpose is Purpose.CLOSE else self._share",
        new="share = 1.0",
        tests=(_LIMITS + "test_reads_that_observe_yield_before_reads_that_close",),
    ),
)
