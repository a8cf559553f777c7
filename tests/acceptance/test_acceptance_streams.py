"""What is put on the streams with a bare XADD ends at the exchange as it should, and not otherwise."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest
import pytest_asyncio

from tests.acceptance.world import Fields, World, decision, eventually, now_ms, token, world

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("all_under_way")]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def deployment(external_log: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """An external log, a separate paper exchange, one executor."""
    async with world(external_log, tmp_path_factory.mktemp("streams"), symbols=140) as found:
        await found.up(found.run())
        yield found
        await found.log.consumed_all()


async def test_an_approved_close_in_the_historic_shape_ends_flat_with_one_reducing_order(
    deployment: World,
) -> None:
    held = await deployment.exchange.open(137)
    plan_id = token()
    entry_id = await deployment.log.add("apply.result", decision(held, plan_id))
    outcome = await deployment.log.outcome(plan_id)
    order = await deployment.exchange.closed_once(held)
    assert outcome["outcome"] == "FLAT"
    assert outcome["executed"] == "True"
    assert outcome["order_ids"] == str(order["orderId"])
    assert outcome["client_order_ids"] == order["clientOrderId"]
    assert Decimal(outcome["filled_qty"]) == abs(held.amount)
    await deployment.log.finished("apply.result", "execution_service_exits", entry_id)


async def test_a_short_is_bought_back(deployment: World) -> None:
    held = await deployment.exchange.open(-42)
    plan_id = token()
    await deployment.log.add("apply.result", decision(held, plan_id))
    assert (await deployment.log.outcome(plan_id))["outcome"] == "FLAT"
    assert (await deployment.exchange.closed_once(held))["side"] == "BUY"


async def test_the_confirmation_says_what_the_exchange_says_and_is_no_new_decision(deployment: World) -> None:
    held = await deployment.exchange.open(11)
    plan_id = token()
    await deployment.log.add("apply.result", decision(held, plan_id))
    await deployment.log.outcome(plan_id)
    confirmations = [
        (entry_id, fields)
        for entry_id, fields in await deployment.log.entries("apply.result")
        if fields.get("plan_id") == plan_id and fields["executed"] == "True"
    ]
    assert len(confirmations) == 1
    entry_id, said = confirmations[0]
    assert (said["decision"], said["approved"], said["outcome"]) == ("CLOSE", "True", "FLAT")
    assert Decimal(said["position_before"]) == held.amount
    assert Decimal(said["position_after"]) == 0
    await deployment.log.finished("apply.result", "execution_service_exits", entry_id)
    await deployment.exchange.closed_once(held)


async def test_each_order_leaves_one_line_in_the_log_of_the_process(deployment: World) -> None:
    held, plan_id = await deployment.exchange.open(-19), token()
    await deployment.log.add("apply.result", decision(held, plan_id))
    await deployment.log.outcome(plan_id)
    order = await deployment.exchange.closed_once(held)
    told = deployment.runs[0].told.splitlines()
    lines = [line.split() for line in told if f"plan_id={plan_id}" in line and "client_order_id=" in line]
    assert len(lines) == 1
    assert lines[0][-7:] == [
        f"plan_id={plan_id}",
        f"symbol={held.symbol}",
        "side=BUY",
        f"quantity={order['origQty']}",
        f"client_order_id={order['clientOrderId']}",
        f"order_id={order['orderId']}",
        "status=FILLED",
    ]


# Intents -----------------------------------------------------------------------------------------------------------


def _flat(symbol: str, action: str, more: Fields) -> Fields:
    return {
        "intent_type": "AUTONOMOUS_EXIT",
        "symbol": symbol,
        "action": action,
        "reason": "emergency_stop_loss (R=-1.59)",
        "R_net": "-1.5878553598079335",
        "timestamp": str(int(time.time())),
        **more,
    }


def _as_data(symbol: str, action: str, more: Fields) -> Fields:
    inside = {"symbol": symbol, "action": action, "timestamp": now_ms(), **more}
    return {"data": json.dumps(inside)}


def _as_payload(symbol: str, action: str, more: Fields) -> Fields:
    inside = {"symbol": symbol, "action": action, "source": "harvest_brain", **more}
    now = datetime.now(UTC).isoformat()
    return {"event_type": "harvest.intent", "payload": json.dumps(inside), "timestamp": now, "source": "h"}


def _epoch_ms(symbol: str, action: str, more: Fields) -> Fields:
    return _flat(symbol, action, {"timestamp": str(now_ms()), **more})


def _float_epoch(symbol: str, action: str, more: Fields) -> Fields:
    return _flat(symbol, action, {"timestamp": repr(time.time()), **more})


def _iso(symbol: str, action: str, more: Fields) -> Fields:
    zoneless = datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="seconds")
    return _flat(symbol, action, {"timestamp": zoneless, **more})


def _timeless(symbol: str, action: str, more: Fields) -> Fields:
    shaped = _flat(symbol, action, more)
    del shaped["timestamp"]
    return shaped


SHAPES = (_flat, _as_data, _as_payload, _epoch_ms, _float_epoch, _iso, _timeless)
ACTIONS = [
    ("CLOSE", {}, "1"),
    ("CLOSE", {"percentage": "1.0"}, "1"),
    ("FULL_CLOSE_PROPOSED", {}, "1"),
    ("TIME_STOP_EXIT", {}, "1"),
    ("TOXICITY_UNWIND", {}, "1"),
    ("MANUAL_CLOSE", {}, "1"),
    ("EMERGENCY_SL_CLOSE", {}, "1"),
    ("PARTIAL_75", {}, "0.75"),
    ("PARTIAL_50", {}, "0.50"),
    ("PARTIAL_25", {}, "0.25"),
    ("REDUCE_50", {}, "0.50"),
    ("REDUCE_25", {}, "0.25"),
    ("PARTIAL_CLOSE_25", {"percentage": "0.25"}, "0.25"),
    ("HARVEST_70_KEEP_30", {}, "0.70"),
    ("PARTIAL_CLOSE", {"percentage": "0.33"}, "0.33"),
    ("RECONCILE_CLOSE", {"fraction": "0.1"}, "0.1"),
]


async def _reduces(
    deployment: World, action: str, fields: Fields, share: str, shape: Callable[..., Fields]
) -> None:
    held = await deployment.exchange.open(137 if len(action) % 2 else -137)
    entry_id = await deployment.log.add("harvest.intent", shape(held.symbol, action, fields))
    outcome = await deployment.log.outcome(await deployment.log.plan_of(entry_id))
    assert outcome["outcome"] == ("FLAT" if share == "1" else "REDUCED"), outcome
    assert outcome["reason"] == ""
    await deployment.exchange.closed_once(held, held.share(share))


async def test_each_action_closes_exactly_its_share_rounded_down_to_the_step(deployment: World) -> None:
    await asyncio.gather(
        *(
            _reduces(deployment, action, fields, share, SHAPES[number % len(SHAPES)])
            for number, (action, fields, share) in enumerate(ACTIONS)
        )
    )


async def test_an_intent_in_every_historic_shape_ends_flat(deployment: World) -> None:
    await asyncio.gather(*(_reduces(deployment, "CLOSE", {}, "1", shape) for shape in SHAPES))


async def test_a_quantity_is_a_maximum_and_never_more_than_the_position(deployment: World) -> None:
    smaller, larger = await deployment.exchange.open(100), await deployment.exchange.open(100)
    seven, thousand = smaller.step * 7, larger.step * 1000
    reconcile = {"quantity": f"{seven:f}"}
    first = await deployment.log.add("harvest.intent", _flat(smaller.symbol, "RECONCILE_CLOSE", reconcile))
    reconcile = {"close_qty": f"{thousand:f}"}
    second = await deployment.log.add("harvest.intent", _flat(larger.symbol, "RECONCILE_CLOSE", reconcile))
    assert (await deployment.log.outcome(await deployment.log.plan_of(first)))["outcome"] == "REDUCED"
    assert (await deployment.log.outcome(await deployment.log.plan_of(second)))["outcome"] == "FLAT"
    await deployment.exchange.closed_once(smaller, seven)
    await deployment.exchange.closed_once(larger)


async def test_a_sell_and_a_buy_that_say_they_reduce_close_their_quantity_rounded_down(
    deployment: World,
) -> None:
    long, short, turned = [await deployment.exchange.open(steps) for steps in (100, -100, 100)]
    asked = [(long, "SELL", {"reduceOnly": "true"}), (short, "BUY", {"reduce_only": "1"})]
    for held, action, says in [*asked, (turned, "BUY", {"reduceOnly": "True"})]:
        amount = {"quantity": f"{held.step * Decimal('7.9'):f}"}
        entry_id = await deployment.log.add("harvest.intent", _flat(held.symbol, action, says | amount))
        outcome = await deployment.log.outcome(await deployment.log.plan_of(entry_id))
        assert outcome["outcome"] == ("SKIPPED" if held is turned else "REDUCED"), outcome
    await deployment.exchange.closed_once(long, long.step * 7)
    await deployment.exchange.closed_once(short, short.step * 7)
    await deployment.exchange.untouched(turned)


async def test_an_intent_of_yesterday_is_skipped_and_no_order_is_asked_for(deployment: World) -> None:
    held = await deployment.exchange.open()
    stale = _flat(held.symbol, "CLOSE", {"timestamp": str(int(time.time()) - 86_400)})
    plan_id = await deployment.log.plan_of(await deployment.log.add("harvest.intent", stale))
    await deployment.log.consumed_all()
    verdicts = [f for _, f in await deployment.log.entries("apply.result") if f.get("plan_id") == plan_id]
    assert [verdict["decision"] for verdict in verdicts] == ["SKIP"]
    assert json.loads(verdicts[0]["veto"])["rule"] == "expired"
    await deployment.exchange.untouched(held)


# Once, and only what was approved ----------------------------------------------------------------------------------


async def test_a_decision_delivered_twenty_times_is_one_order(deployment: World) -> None:
    """Some before anything happened, some while it happens, some after its end."""
    held = await deployment.exchange.open(60)
    plan_id = token()
    for _ in range(7):
        await deployment.log.add("apply.result", decision(held, plan_id))
    for _ in range(7):
        await deployment.log.add("apply.result", decision(held, plan_id))
        await asyncio.sleep(0.02)
    await deployment.log.outcome(plan_id)
    for _ in range(6):
        await deployment.log.add("apply.result", decision(held, plan_id))
    await deployment.log.consumed_all()
    await deployment.exchange.closed_once(held)
    assert len(await deployment.log.outcomes(plan_id)) == 1


async def test_a_closed_plan_does_not_close_what_was_opened_after_it(deployment: World) -> None:
    held = await deployment.exchange.open(60, tradable=True)
    plan_id = token()
    await deployment.log.add("apply.result", decision(held, plan_id))
    await deployment.log.outcome(plan_id)
    await deployment.exchange.trade(held.symbol, "BUY", held.step * 200)
    await deployment.log.add("apply.result", decision(held, plan_id))
    await deployment.log.consumed_all()
    books = await deployment.exchange.records()
    assert books.position(held.symbol) == held.step * 200
    assert len(books.placements(held.symbol)) == 2, "the close and the foreign order"


async def test_the_same_intent_twice_is_one_order(deployment: World) -> None:
    held = await deployment.exchange.open(60)
    intent = _flat(held.symbol, "CLOSE", {"intent_id": f"wish-{token()}"})
    first = await deployment.log.add("harvest.intent", intent)
    second = await deployment.log.add("harvest.intent", intent)
    plan_id = await deployment.log.plan_of(first)
    assert await deployment.log.plan_of(second) == plan_id
    await deployment.log.outcome(plan_id)
    await deployment.log.consumed_all()
    await deployment.exchange.closed_once(held)
    assert len(await deployment.log.outcomes(plan_id)) == 1


async def test_two_halves_of_different_wishes_make_three_quarters(deployment: World) -> None:
    held = await deployment.exchange.open(100)
    wishes = [
        await deployment.log.add("harvest.intent", _flat(held.symbol, "PARTIAL_50", {})) for _ in range(2)
    ]
    plans = [await deployment.log.plan_of(wish) for wish in wishes]
    assert [(await deployment.log.outcome(plan_id))["outcome"] for plan_id in plans] == ["REDUCED"] * 2
    books = await deployment.exchange.records()
    sizes = [Decimal(order["executedQty"]) / held.step for order in books.effective(held.symbol)]
    assert sizes == [50, 25]
    assert books.position(held.symbol) == held.step * 25


async def test_a_part_and_the_whole_at_once_end_flat_and_never_beyond(deployment: World) -> None:
    held = await deployment.exchange.open(-100)
    wishes = await asyncio.gather(
        deployment.log.add("harvest.intent", _flat(held.symbol, "PARTIAL_75", {})),
        deployment.log.add("harvest.intent", _flat(held.symbol, "CLOSE", {})),
    )
    plans = [await deployment.log.plan_of(wish) for wish in wishes]
    outcomes = {(await deployment.log.outcome(plan_id))["outcome"] for plan_id in plans}
    assert outcomes <= {"REDUCED", "FLAT", "ALREADY_FLAT"}
    books = await deployment.exchange.records()
    assert books.position(held.symbol) == 0
    assert books.traded(held.symbol) == -held.amount
    assert all(order["reduceOnly"] for order in books.orders(held.symbol))


async def test_a_flat_symbol_is_already_flat_without_an_order(deployment: World) -> None:
    symbol, plan_id = deployment.exchange.unused(), token()
    await deployment.log.add("apply.result", decision(symbol, plan_id))
    outcome = await deployment.log.outcome(plan_id)
    assert (outcome["outcome"], outcome["executed"]) == ("ALREADY_FLAT", "False")
    assert (await deployment.exchange.records()).placements(symbol) == []


async def test_a_symbol_that_is_not_listed_is_refused(deployment: World) -> None:
    plan_id = token()
    await deployment.log.add("apply.result", decision("NOSUCHUSDT", plan_id))
    outcome = await deployment.log.outcome(plan_id)
    assert (outcome["outcome"], outcome["reason"]) == ("REFUSED", "unknown_symbol")
    assert outcome["executed"] == "False"


@pytest.mark.parametrize(
    "said",
    [
        {"approved": "False"},
        {"approved": "0"},
        {"executed": "True"},
        {"executed": "true", "order_id": "8205830455"},
        {"mode": "live"},
        {"mode": "demo"},
        {"decision": "EXECUTE"},
        {"decision": "SKIP", "error": "kill_score_close_ok"},
        {"decision": "BLOCKED"},
        {"executed": ""},
        {"dry_run": "1"},
        {"steps_results": '[{"step": "CLOSE_FULL", "status": "would_execute", "details": "dry_run"}]'},
    ],
    ids=json.dumps,
)
async def test_what_is_no_approval_for_here_and_now_is_acknowledged_without_an_order(
    deployment: World, said: Fields
) -> None:
    held = await deployment.exchange.open(9)
    entry_id = await deployment.log.add("apply.result", decision(held, token(), **said))
    await deployment.log.finished("apply.result", "execution_service_exits", entry_id)
    await deployment.exchange.untouched(held)


async def test_without_approved_a_close_decision_is_an_approval(deployment: World) -> None:
    held, plan_id = await deployment.exchange.open(9), token()
    said = decision(held, plan_id)
    del said["approved"]
    await deployment.log.add("apply.result", said)
    assert (await deployment.log.outcome(plan_id))["outcome"] == "FLAT"
    await deployment.exchange.closed_once(held)


async def test_an_approval_that_has_expired_is_skipped_and_does_not_burn_the_plan(deployment: World) -> None:
    held, plan_id = await deployment.exchange.open(9), token()
    await deployment.log.add("apply.result", decision(held, plan_id, timestamp=str(now_ms() - 90_000)))
    outcome = await deployment.log.outcome(plan_id)
    assert (outcome["outcome"], outcome["reason"]) == ("SKIPPED", "expired")
    await deployment.exchange.untouched(held)
    await deployment.log.add("apply.result", decision(held, plan_id))

    async def both() -> bool | None:
        said = [outcome["outcome"] for outcome in await deployment.log.outcomes(plan_id)]
        return said == ["SKIPPED", "FLAT"] or None

    await eventually("it is skipped, and then closed", both)
    await deployment.exchange.closed_once(held)


async def test_a_fresh_approval_right_behind_a_stale_one_of_the_same_plan_is_executed(
    deployment: World,
) -> None:
    held, plan_id = await deployment.exchange.open(9), token()
    await deployment.log.add("apply.result", decision(held, plan_id, timestamp=str(now_ms() - 90_000)))
    await deployment.log.add("apply.result", decision(held, plan_id))

    async def both() -> bool | None:
        said = [outcome["outcome"] for outcome in await deployment.log.outcomes(plan_id)]
        return said == ["SKIPPED", "FLAT"] or None

    await eventually("the stale one is skipped, and the fresh one closes", both)
    await deployment.exchange.closed_once(held)
    await deployment.log.consumed_all()


async def test_another_close_under_the_name_of_one_that_was_made_is_no_duplicate(deployment: World) -> None:
    """It may not vanish: whoever named it has an open position and no other word of it."""
    one, other = await deployment.exchange.open(9), await deployment.exchange.open(9)
    plan_id = token()
    await deployment.log.add("apply.result", decision(one, plan_id))
    await deployment.log.add("apply.result", decision(other, plan_id))
    await deployment.log.outcome(plan_id)
    await deployment.exchange.closed_once(one)
    await deployment.log.consumed_all()
    await deployment.exchange.untouched(other)
    letters = [
        letter for _, letter in await deployment.log.entries("dead.letter") if plan_id in letter["entry"]
    ]
    assert len(letters) == 1
    assert plan_id in letters[0]["reason"]


# Another position than the one that was decided on -----------------------------------------------------------------


async def test_a_position_reversed_since_the_decision_is_left_alone(deployment: World) -> None:
    held, plan_id = await deployment.exchange.open(30, tradable=True), token()
    seen = {
        "position_amt": f"{held.amount:f}",
        "position_update_time": str(await deployment.exchange.update_time(held.symbol)),
    }
    await deployment.exchange.trade(held.symbol, "SELL", held.step * 400)
    await deployment.log.add("apply.result", decision(held, plan_id, **seen))
    outcome = await deployment.log.outcome(plan_id)
    assert (outcome["outcome"], outcome["reason"]) == ("SKIPPED", "position_reversed")
    books = await deployment.exchange.records()
    assert books.orders(held.symbol) == []
    assert books.position(held.symbol) == held.amount - held.step * 400


async def test_a_position_closed_and_reopened_since_the_decision_is_left_alone(deployment: World) -> None:
    held, plan_id = await deployment.exchange.open(300, tradable=True), token()
    seen = {
        "position_amt": f"{held.amount:f}",
        "position_update_time": str(await deployment.exchange.update_time(held.symbol)),
    }
    await deployment.exchange.trade(held.symbol, "SELL", held.step * 300)
    await deployment.exchange.trade(held.symbol, "BUY", held.step * 200)
    await deployment.log.add("apply.result", decision(held, plan_id, **seen))
    outcome = await deployment.log.outcome(plan_id)
    assert (outcome["outcome"], outcome["reason"]) == ("SKIPPED", "position_reopened")
    books = await deployment.exchange.records()
    assert books.orders(held.symbol) == []
    assert books.position(held.symbol) == held.step * 200


async def test_a_position_that_only_changed_its_size_is_still_the_one(deployment: World) -> None:
    held, plan_id = await deployment.exchange.open(300, tradable=True), token()
    seen = {
        "position_amt": f"{held.amount:f}",
        "position_update_time": str(await deployment.exchange.update_time(held.symbol)),
    }
    await deployment.exchange.trade(held.symbol, "SELL", held.step * 100)
    await deployment.exchange.trade(held.symbol, "BUY", held.step * 200)
    await deployment.log.add("apply.result", decision(held, plan_id, **seen))
    assert (await deployment.log.outcome(plan_id))["outcome"] == "FLAT"
    books = await deployment.exchange.records()
    assert [Decimal(order["executedQty"]) for order in books.orders(held.symbol)] == [held.step * 400]
    assert books.position(held.symbol) == 0


async def test_a_close_for_the_other_side_is_skipped(deployment: World) -> None:
    held, plan_id = await deployment.exchange.open(30), token()
    await deployment.log.add("apply.result", decision(held, plan_id, position_side="SHORT"))
    outcome = await deployment.log.outcome(plan_id)
    assert (outcome["outcome"], outcome["reason"]) == ("SKIPPED", "other_side")
    await deployment.exchange.untouched(held)
