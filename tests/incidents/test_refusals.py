"""Refusals that mean something else than they say: flat already, blocked, outside of the band, too large."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import pytest

from tests.acceptance.world import Held, eventually
from tests.incidents.plays import Stage, effect, shared

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

SLOWLY_MS = 700
"""How long a refusal is on its way, for what happens meanwhile."""


# Closed by somebody else ---------------------------------------------------------------------------------------------


async def _by_hand(stage: Stage, held: Held) -> None:
    await stage.venue.signed(
        "POST",
        "/fapi/v1/order",
        symbol=held.symbol,
        side=held.closing_side,
        type="MARKET",
        quantity=f"{abs(held.amount):f}",
        reduceOnly="true",
    )


async def _by_stop(stage: Stage, held: Held) -> None:
    lower = await stage.price(held.symbol, Decimal("0.95"))
    await stage.control("prices", symbol=held.symbol, price=f"{lower:f}")


async def _by_liquidation(stage: Stage, held: Held) -> None:
    await stage.control("liquidate", symbol=held.symbol)


async def _by_deleveraging(stage: Stage, held: Held) -> None:
    await stage.control("liquidate", symbol=held.symbol, adl=True)


async def _closed_meanwhile(
    stage: Stage, close: Callable[[Stage, Held], Awaitable[None]], reason: str
) -> None:
    """The plan is stale when its order arrives: -2022, and by then the position is gone."""
    held = await stage.open()
    if close is _by_stop:
        await stage.stop(held)
    await stage.venue.fault("refused", held.symbol, code=-2022, ms=SLOWLY_MS)
    plan_id = await stage.decide(held)
    await stage.arrived(held.symbol)
    await close(stage, held)
    outcome = await stage.outcome(plan_id)
    assert (outcome["outcome"], outcome["reason"]) == ("ALREADY_FLAT", reason)
    assert (outcome["executed"], Decimal(outcome["filled_qty"])) == ("False", Decimal(0))
    books = await stage.books()
    assert books.position(held.symbol) == 0
    assert [request["code"] for request in await stage.sent(held.symbol)] == [-2022]
    complaints = [line for line in stage.world.runs[0].told.splitlines() if plan_id in line]
    assert not [line for line in complaints if "error " in line or "critical " in line], complaints


@shared
async def test_incident_49_a_position_that_somebody_closed_meanwhile_is_success(stage: Stage) -> None:
    await _closed_meanwhile(stage, _by_hand, "")


@shared
async def test_incident_49_a_position_that_a_stop_closed_meanwhile_is_success(stage: Stage) -> None:
    await _closed_meanwhile(stage, _by_stop, "")


@shared
async def test_incident_113_a_position_that_was_liquidated_under_us_is_success_with_its_cause(
    stage: Stage,
) -> None:
    await _closed_meanwhile(stage, _by_liquidation, "liquidation")


@shared
async def test_incident_113_a_position_that_was_deleveraged_under_us_is_success_with_its_cause(
    stage: Stage,
) -> None:
    await _closed_meanwhile(stage, _by_deleveraging, "adl")


@shared
async def test_incident_113_a_position_that_is_gone_before_the_close_needs_no_order(stage: Stage) -> None:
    for adl, reason in ((False, "liquidation"), (True, "adl")):
        held = await stage.open(-136)
        before = str(await stage.venue.update_time(held.symbol))
        await stage.control("liquidate", symbol=held.symbol, adl=adl)
        # It names the position that it saw, which is looked up then: the stream may not have told yet that it is gone.
        outcome = await stage.outcome(await stage.decide(held, position_update_time=before))
        assert (outcome["outcome"], outcome["reason"]) == ("ALREADY_FLAT", reason)
        assert await stage.sent(held.symbol) == []


@shared
async def test_incident_113_what_a_liquidation_leaves_is_closed_and_is_not_claimed(stage: Stage) -> None:
    held = await stage.open()
    await stage.venue.fault("liquidated", held.symbol, fraction="0.5")
    outcome = await stage.outcome(await stage.decide(held))
    assert outcome["outcome"] == "FLAT"
    books = await stage.books()
    assert books.position(held.symbol) == 0
    assert Decimal(outcome["filled_qty"]) == effect(books, held) == held.share("0.5")


@shared
async def test_incident_49_a_refusal_with_the_position_still_there_is_not_taken_for_flat(
    stage: Stage,
) -> None:
    held = await stage.open()
    await stage.venue.fault("refused", held.symbol, code=-2022)
    assert (await stage.outcome(await stage.decide(held)))["outcome"] == "FLAT"
    assert [request["code"] for request in await stage.sent(held.symbol)] == [-2022, 0]
    await stage.venue.closed_once(held)


# The reducing flag ---------------------------------------------------------------------------------------------------


@shared
async def test_incident_50_minimum_notional_on_a_close_is_an_alarm_with_the_exact_request(
    stage: Stage,
) -> None:
    held = await stage.open()
    await stage.venue.fault("refused", held.symbol, code=-4164)
    outcome = await stage.outcome(await stage.decide(held))
    assert (outcome["outcome"], outcome["code"], outcome["executed"]) == ("REFUSED", "-4164", "False")
    (request,) = await stage.sent(held.symbol)

    async def raised() -> dict[str, Any] | None:
        file = stage.folder / "alarms.jsonl"
        told = file.read_text().splitlines() if file.exists() else []
        alarms = [json.loads(line) for line in told if line.endswith("}")]
        return next((one for one in alarms if (one["alarm"], one["subject"]) == ("FLAG", held.symbol)), None)

    alarm = await eventually("the alarm is told", raised)
    assert (alarm["state"], alarm["facts"]["code"]) == ("raised", "-4164")
    exact = dict(parse_qsl(alarm["facts"]["order"]))
    assert exact == {name: text for name, text in request["params"].items() if name != "signature"}
    assert exact["reduceOnly"] == "true"


@shared
async def test_incident_50_dust_is_closed_and_meets_no_minimum(stage: Stage) -> None:
    """One step is far below the minimum notional of an entry."""
    held = await stage.open(1, tradable=False)
    assert (await stage.outcome(await stage.decide(held)))["outcome"] == "FLAT"
    await stage.venue.closed_once(held)


# Codes that were treated as something they are not -------------------------------------------------------------------


@shared
async def test_incident_59_what_concerns_stop_orders_neither_closes_nor_loops(stage: Stage) -> None:
    for code in (-2021, -4045):
        held = await stage.open()
        await stage.venue.fault("refused", held.symbol, code=code)
        outcome = await stage.outcome(await stage.decide(held))
        assert (outcome["outcome"], outcome["code"]) == ("REFUSED", str(code))
        books = await stage.books()
        assert books.position(held.symbol) == held.amount
        assert len(await stage.sent(held.symbol)) == 1


@shared
async def test_incident_60_a_timestamp_that_is_refused_is_one_new_attempt(stage: Stage) -> None:
    held = await stage.open()
    await stage.venue.fault("refused", held.symbol, code=-1021)
    assert (await stage.outcome(await stage.decide(held)))["outcome"] == "FLAT"
    first, second = await stage.sent(held.symbol)
    assert (first["code"], second["code"]) == (-1021, 0)
    for name in ("newClientOrderId", "timestamp"):
        assert first["params"][name] != second["params"][name]
    await stage.venue.closed_once(held)


# Blocked -------------------------------------------------------------------------------------------------------------


async def _unblocked(stage: Stage, code: int, *, limit: bool, stop: bool, steps: int = 136) -> None:
    held = await stage.open(steps)
    waiting = [await stage.rest(held)] if limit else []
    waiting += [await stage.stop(held)] if stop else []
    entry = await stage.rest(held, reduceOnly="")
    await stage.control("faults", fault="blocked_by_resting", code=code, match={"symbol": held.symbol})
    plan_id = await stage.decide(held)
    outcome = await stage.outcome(plan_id)
    assert outcome["outcome"] == "FLAT"
    assert sorted(outcome["cancelled"].split(",")) == sorted(waiting)
    books = await stage.books()
    assert books.position(held.symbol) == 0
    assert effect(books, held) == abs(held.amount)
    first, second = await stage.sent(held.symbol)
    assert (first["code"], second["code"]) == (code, 0)
    raw = books._books
    status = {order["clientOrderId"]: order["status"] for order in raw["orders"]}
    status |= {algo["clientAlgoId"]: algo["algoStatus"] for algo in raw["algo_orders"]}
    assert {status[one] for one in waiting} == {"CANCELED"}
    assert status[entry] == "NEW", "what would open a position is somebody's wish, and in nobody's way"
    cancels = [
        request["received_ns"]
        for request in raw["requests"]
        if request["method"] == "DELETE" and request["params"].get("symbol") == held.symbol
    ]
    cancels += [
        request["received_ns"]
        for request in raw["requests"]
        if request["method"] == "DELETE" and request["path"].endswith("algoOrder")
    ][: int(stop)]
    assert len(cancels) >= len(waiting)
    order = [fact["fact"] for fact in stage.watch.facts(plan_id) if fact["fact"] in {"SENDING", "CLEARED"}]
    assert order == ["SENDING", "CLEARED", "SENDING"], "gone by proof before anything is sent again"
    await stage.venue.signed("DELETE", "/fapi/v1/order", symbol=held.symbol, origClientOrderId=entry)


@shared
async def test_incident_103_a_resting_take_profit_is_cancelled_and_the_close_goes_on(stage: Stage) -> None:
    for code in (-4118, -2022):
        await _unblocked(stage, code, limit=True, stop=False)


@shared
async def test_incident_103_a_conditional_order_is_cancelled_and_the_close_goes_on(stage: Stage) -> None:
    for code in (-4118, -2022):
        await _unblocked(stage, code, limit=False, stop=True)


@shared
async def test_incident_103_a_bracket_of_both_is_cancelled_and_the_close_goes_on(stage: Stage) -> None:
    await _unblocked(stage, -4118, limit=True, stop=True)
    await _unblocked(stage, -2022, limit=True, stop=True, steps=-136)


# The band, and the largest order -------------------------------------------------------------------------------------


@shared
async def test_incident_106_a_market_order_that_the_band_refuses_becomes_a_bounded_one(stage: Stage) -> None:
    for steps in (136, -136):
        held = await stage.open(steps)
        await stage.venue.fault("market_rejected", held.symbol)
        mark = await stage.price(held.symbol)
        outcome = await stage.outcome(await stage.decide(held))
        assert outcome["outcome"] == "FLAT"
        first, second = await stage.sent(held.symbol)
        assert (first["params"]["type"], first["code"]) == ("MARKET", -4131)
        asked = second["params"]
        assert (asked["type"], asked["timeInForce"], asked["reduceOnly"]) == ("LIMIT", "IOC", "true")
        info = await stage.venue._json("GET", "/fapi/v1/exchangeInfo")
        (rules,) = [row for row in info["symbols"] if row["symbol"] == held.symbol]
        band = next(rule for rule in rules["filters"] if rule["filterType"] == "PERCENT_PRICE")
        worst = Decimal(asked["price"]) / mark
        assert Decimal(band["multiplierDown"]) < worst < Decimal(band["multiplierUp"])
        assert (worst < 1) is (held.amount > 0), "it crosses the book"
        assert effect(await stage.books(), held) == abs(held.amount)
        assert (await stage.books()).position(held.symbol) == 0


@shared
async def test_incident_107_a_position_above_the_largest_order_is_closed_in_parts(stage: Stage) -> None:
    """With the fate of one part open in between: no part may come twice."""
    market = next(one for one in stage.venue._free if one.step * one.price < Decimal("0.01"))
    stage.venue._free.remove(market)
    stage.symbols.append(market.symbol)
    info = await stage.venue._json("GET", "/fapi/v1/exchangeInfo")
    (rules,) = [row for row in info["symbols"] if row["symbol"] == market.symbol]
    lots = {rule["filterType"]: Decimal(rule["maxQty"]) for rule in rules["filters"] if "maxQty" in rule}
    largest = min(lots.values())
    held = await stage.venue.put(market, largest * 3 + market.step * 7)
    await stage.venue.fault("unknown_503", held.symbol, skip=1)
    outcome = await stage.outcome(await stage.decide(held))
    assert outcome["outcome"] == "FLAT"
    asked = await stage.sent(held.symbol)
    assert [Decimal(one["params"]["quantity"]) for one in asked] == [
        largest,
        largest,
        largest,
        market.step * 7,
    ]
    assert not [one for one in asked if one["code"] == -4005]
    assert effect(await stage.books(), held) == held.amount == Decimal(outcome["filled_qty"])


# More or less than asked ---------------------------------------------------------------------------------------------


@shared
async def test_incident_53_half_a_fill_is_no_full_close_and_goes_on_with_the_remainder(stage: Stage) -> None:
    held = await stage.open()
    await stage.venue.fault("partial_fill", held.symbol, fraction="0.5")
    plan_id = await stage.decide(held)
    outcome = await stage.outcome(plan_id)
    assert outcome["outcome"] == "FLAT"
    parts = (await stage.books()).effective(held.symbol)
    assert [Decimal(order["executedQty"]) for order in parts] == [held.share("0.5")] * 2
    assert Decimal(outcome["filled_qty"]) == abs(held.amount)
    assert (await stage.books()).position(held.symbol) == 0
    (ended,), fills = stage.facts(plan_id, "ENDED"), stage.facts(plan_id, "FILLED")
    last = max(trade["time"] for fact in fills for trade in fact["trades"])
    assert ended["position_after"]["requested_at"] >= last, "flat is what was read after the last fill"


@shared
async def test_incident_53_a_close_that_leaves_something_does_not_say_flat(stage: Stage) -> None:
    """The second half is refused for good: what is left is told."""
    held = await stage.open()
    await stage.venue.fault("partial_fill", held.symbol, fraction="0.5")
    await stage.venue.fault("refused", held.symbol, code=-2021, skip=1)
    plan_id = await stage.decide(held)
    outcome = await stage.outcome(plan_id)
    assert outcome["outcome"] == "REDUCED"
    assert "-2021" in outcome["reason"]
    assert Decimal(outcome["position_after"]) == held.share("0.5")
    assert (await stage.books()).position(held.symbol) == held.share("0.5")


async def _flipped(stage: Stage, faults: list[dict[str, Any]], outcome: str, filled: str) -> None:
    """Somebody turns the position over while the answer to our order is on its way."""
    held = await stage.open()
    for fault in faults:
        match = {"symbol": held.symbol, "route": "POST /fapi/v1/order"}
        await stage.control("faults", **fault, match=match)
    plan_id = await stage.decide(held)
    await stage.arrived(held.symbol)
    await stage.venue.trade(held.symbol, held.closing_side, abs(held.amount) * 2)
    told = await stage.outcome(plan_id)
    assert (told["outcome"], told["reason"]) == (outcome, "position_changed")
    assert Decimal(told["filled_qty"]) == held.share(filled)
    await asyncio.sleep(0.6)
    assert (await stage.books()).position(held.symbol) == -held.amount - held.share(filled)
    assert len(await stage.sent(held.symbol)) == 1, (
        "nothing is sent against a position that nobody decided on"
    )


@shared
async def test_incident_51_a_sign_that_flips_is_seen_and_nothing_more_is_sent(stage: Stage) -> None:
    slowly = {"fault": "answer_delayed", "ms": SLOWLY_MS}
    await _flipped(stage, [{"fault": "refused", "code": -1112, "ms": SLOWLY_MS}], "SKIPPED", "0")
    await _flipped(stage, [{"fault": "partial_fill", "fraction": "0"}, slowly], "SKIPPED", "0")
    await _flipped(stage, [{"fault": "partial_fill", "fraction": "0.5"}, slowly], "REDUCED", "0.5")
