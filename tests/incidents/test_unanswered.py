"""Requests whose answer is lost, late or ambiguous: unknown is a state, and nothing is sent twice for it."""

from decimal import Decimal

import pytest

from sureclose.domain.ids import client_order_id_for
from tests.incidents.plays import Stage, effect, shared

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]


async def _closes(stage: Stage, fault: str, **more: object) -> int:
    """A close whose first order meets the fault; how many orders it took."""
    held = await stage.open()
    await stage.venue.fault(fault, held.symbol, **more)
    outcome = await stage.outcome(await stage.decide(held))
    assert (outcome["outcome"], outcome["reason"]) == ("FLAT", "")
    books = await stage.books()
    assert effect(books, held) == abs(held.amount)
    assert books.position(held.symbol) == 0
    return len(await stage.sent(held.symbol))


@shared
async def test_incident_48_a_timeout_after_the_post_is_not_a_failure_and_is_not_sent_again(
    stage: Stage,
) -> None:
    """Nothing is heard of the order but what is asked for: no answer, no event."""
    for fault in ("timeout_408", "answer_dropped"):
        held = await stage.open()
        await stage.venue.fault(fault, held.symbol)
        await stage.control("faults", fault="stream_silent", match={"symbol": held.symbol})
        plan_id = await stage.decide(held)
        assert (await stage.outcome(plan_id))["outcome"] == "FLAT"
        assert len(await stage.sent(held.symbol)) == 1
        await stage.venue.closed_once(held)
        assert [fact["answer"] for fact in stage.facts(plan_id, "ANSWERED")] == ["unknown"]


@shared
async def test_incident_48_an_answer_slower_than_our_patience_is_not_a_failure(stage: Stage) -> None:
    assert await _closes(stage, "answer_delayed", ms=2500) == 1


@shared
async def test_incident_48_an_order_that_never_arrived_is_followed_only_after_its_deadline(
    stage: Stage,
) -> None:
    held = await stage.open()
    await stage.venue.fault("timeout_408_not_executed", held.symbol)
    plan_id = await stage.decide(held)
    assert (await stage.outcome(plan_id))["outcome"] == "FLAT"
    first, second = await stage.sent(held.symbol)
    deadline = int(first["params"]["timestamp"]) + int(first["params"]["recvWindow"])
    assert second["time"] > deadline
    assert first["params"]["newClientOrderId"] != second["params"]["newClientOrderId"]
    assert len(stage.facts(plan_id, "DEAD")) == 1
    await stage.venue.closed_once(held)


@shared
async def test_incident_104_an_order_that_is_executed_late_is_not_answered_by_a_counter_trade(
    stage: Stage,
) -> None:
    """Half of a position, so that a second order would do damage: nothing is sent while the first can still come.

    The stream does not help: until the end of the window the venue says that there is no such order.
    """
    held = await stage.open()
    await stage.control("faults", fault="stream_silent", match={"symbol": held.symbol})
    await stage.venue.fault("execution_delayed", held.symbol, until_deadline_ms=50)
    outcome = await stage.outcome(await stage.decide(held, action="PARTIAL_50", fraction="0.5"))
    assert (outcome["outcome"], outcome["reason"]) == ("REDUCED", "")
    assert len(await stage.sent(held.symbol)) == 1
    await stage.venue.closed_once(held, held.share("0.5"))


@shared
async def test_incident_104_an_order_that_comes_too_late_is_dead_before_another_is_sent(
    stage: Stage,
) -> None:
    held = await stage.open(-136)
    await stage.venue.fault("execution_delayed", held.symbol, until_deadline_ms=-50)
    outcome = await stage.outcome(await stage.decide(held, action="PARTIAL_50", fraction="0.5"))
    assert (outcome["outcome"], outcome["reason"]) == ("REDUCED", "")
    first, second = await stage.sent(held.symbol)
    assert first["code"] == -5028
    assert second["time"] > int(first["params"]["timestamp"]) + int(first["params"]["recvWindow"])
    await stage.venue.closed_once(held, held.share("0.5"))


@shared
async def test_incident_105_a_timeout_that_the_stream_contradicts_is_not_sent_again(stage: Stage) -> None:
    """-1007, then the stream's word: that is enough, and nothing waits for the window to be over."""
    held = await stage.open()
    await stage.venue.fault("timeout_1007", held.symbol)
    await stage.control("faults", fault="read_lag", ms=60_000, match={"symbol": held.symbol})
    plan_id = await stage.decide(held)
    assert (await stage.outcome(plan_id))["outcome"] == "FLAT"
    (sending,), (seen, *_) = stage.facts(plan_id, "SENDING"), stage.facts(plan_id, "SEEN")
    assert seen["via"] == "stream"
    assert seen["at"] < sending["deadline"]
    assert len(await stage.sent(held.symbol)) == 1
    await stage.venue.closed_once(held)


@shared
async def test_incident_105_a_duplicate_id_means_that_the_order_is_ours_and_there(stage: Stage) -> None:
    """-4116: an order with the id of our attempt is open. It is followed to its end, and no other is made.

    The stream is silent here: an order of our prefix before its record is a breach, which ends all closes.
    """
    held = await stage.open()
    plan_id = f"plan-{held.symbol}"
    ours = client_order_id_for(stage.world.order_prefix, "paper:main", plan_id, 1)
    await stage.control("faults", fault="stream_silent", match={"symbol": held.symbol})
    await stage.rest(held, ours)
    await stage.decide(held, plan_id)

    def refused(books: object) -> bool:
        del books
        return bool(stage.facts(plan_id, "SEEN"))

    await stage.watch.until("the order is found", refused, 30.0)
    assert [request["code"] for request in await stage.sent(held.symbol)] == [0, -4116]
    higher = await stage.price(held.symbol, Decimal("1.05"))
    await stage.control("prices", symbol=held.symbol, price=f"{higher:f}")
    outcome = await stage.outcome(plan_id)
    assert (outcome["outcome"], outcome["client_order_ids"]) == ("FLAT", ours)
    books = await stage.books()
    assert [order["clientOrderId"] for order in books.orders(held.symbol)] == [ours]
    assert books.position(held.symbol) == 0
    assert len(await stage.sent(held.symbol)) == 2


@shared
async def test_incident_105_a_duplicate_id_that_nobody_can_find_is_resolved_and_not_believed(
    stage: Stage,
) -> None:
    held = await stage.open(-136)
    await stage.venue.fault("refused", held.symbol, code=-4116)
    plan_id = await stage.decide(held)
    assert (await stage.outcome(plan_id))["outcome"] == "FLAT"
    assert len(stage.facts(plan_id, "DEAD")) == 1
    await stage.venue.closed_once(held)


@shared
async def test_incident_110_fills_are_ours_by_their_order_and_not_by_their_time(stage: Stage) -> None:
    """Somebody else reduces the position while the fate of our order is open: in its window, on its side."""
    held = await stage.open()
    await stage.venue.fault("execution_delayed", held.symbol, until_deadline_ms=100)
    plan_id = await stage.decide(held)
    await stage.arrived(held.symbol)
    theirs = held.share("0.25")
    await stage.venue.trade(held.symbol, held.closing_side, theirs)
    outcome = await stage.outcome(plan_id)
    (order,) = (await stage.books()).effective(held.symbol)
    assert (outcome["outcome"], outcome["order_ids"]) == ("FLAT", str(order["orderId"]))
    assert Decimal(outcome["filled_qty"]) == Decimal(order["executedQty"]) == abs(held.amount) - theirs
    trades = [trade for fact in stage.facts(plan_id, "FILLED") for trade in fact["trades"]]
    assert {trade["order_id"] for trade in trades} == {order["orderId"]}


@shared
async def test_incident_110_fills_before_a_restart_are_not_those_of_the_next_close(stage: Stage) -> None:
    """Two closes of one symbol in a row, the first one's answer lost: each tells its own fills."""
    held = await stage.open()
    await stage.venue.fault("unknown_503", held.symbol)
    one = await stage.outcome(await stage.decide(held, action="PARTIAL_25", fraction="0.25"))
    other = await stage.outcome(await stage.decide(held))
    first, second = (await stage.books()).effective(held.symbol)
    assert (one["order_ids"], other["order_ids"]) == (str(first["orderId"]), str(second["orderId"]))
    assert Decimal(one["filled_qty"]) == held.share("0.25")
    assert Decimal(other["filled_qty"]) == abs(held.amount) - held.share("0.25")
