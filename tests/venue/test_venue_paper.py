"""The contract on the paper exchange, and the faults that only it can produce."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from sureclose.domain.market import Class, OrderReport, Refusal
from sureclose.domain.words import PositionSide, Side
from sureclose.paper.server import PaperExchange
from sureclose.paper.settings import PaperSettings
from sureclose.venue import history
from sureclose.venue.environments import VenueSettings
from sureclose.venue.errors import Unanswered, WrongMode
from sureclose.venue.port import ReducingOrder
from sureclose.venue.secret import Credentials, Secret
from tests.venue.venue_contract import BOTH, Scene, VenueContract, close, near_mark, reducing

UNIT = Decimal("0.100")


@pytest.fixture
async def exchange() -> AsyncIterator[PaperExchange]:
    async with PaperExchange(
        PaperSettings(strict_streams=True, strict_signatures=True, price_step_ppm=0)
    ) as exchange:
        yield exchange


@pytest.fixture
def scene(exchange: PaperExchange) -> Scene:
    return scene_of(exchange)


def scene_of(exchange: PaperExchange, *, order_timeout_ms: int = 3000) -> Scene:
    return Scene(
        settings=VenueSettings(
            base_url=exchange.rest, position_interval_ms=0, order_timeout_ms=order_timeout_ms
        ),
        credentials=Credentials(Secret(exchange.api_key), Secret(exchange.api_secret)),
        rest=exchange.rest,
        symbol="ETHUSDT",
        unit=UNIT,
    )


class TestPaper(VenueContract):
    """The paper exchange keeps the contract."""


class TestPaperWithAverages(VenueContract):
    """The contract holds whichever of the readings of the documentation is true."""

    @pytest.fixture
    async def exchange(self) -> AsyncIterator[PaperExchange]:
        other = PaperSettings(
            oversize_market="expire", order_response_includes_avg_price=True, limits="real", price_step_ppm=0
        )
        async with PaperExchange(other) as exchange:
            yield exchange


def arm(exchange: PaperExchange, fault: str, **more: object) -> None:
    exchange.faults.arm({"fault": fault, **more}, 0)


@pytest.mark.parametrize("fault", ["answer_dropped", "unknown_503", "answer_delayed"])
async def test_an_order_executed_without_an_answer_is_unanswered_and_found(
    exchange: PaperExchange, fault: str
) -> None:
    scene = scene_of(exchange, order_timeout_ms=200)
    async with scene.venue() as venue:
        await scene.open(UNIT)
        position = await venue.position(scene.symbol, BOTH)
        arm(exchange, fault, ms=2000)
        order = reducing(venue, position, UNIT)
        assert isinstance(await venue.place(order), Unanswered)
        report = await venue.order(scene.symbol, order.client_order_id)
        assert report is not None
        assert report.executed_qty == UNIT
        assert (await venue.position(scene.symbol, BOTH)).amount == 0


@pytest.mark.parametrize("fault", ["request_dropped", "unknown_503_not_executed"])
async def test_an_order_lost_without_an_answer_is_unanswered_and_not_found(
    exchange: PaperExchange, scene: Scene, fault: str
) -> None:
    async with scene.venue() as venue:
        await scene.open(UNIT)
        position = await venue.position(scene.symbol, BOTH)
        arm(exchange, fault)
        order = reducing(venue, position, UNIT)
        assert isinstance(await venue.place(order), Unanswered)
        assert await venue.order(scene.symbol, order.client_order_id) is None
        assert (await venue.position(scene.symbol, BOTH)).amount == UNIT


async def test_half_a_fill_is_reported_as_half(exchange: PaperExchange, scene: Scene) -> None:
    async with scene.venue() as venue:
        await scene.open(UNIT * 2)
        position = await venue.position(scene.symbol, BOTH)
        arm(exchange, "partial_fill")
        report = await close(venue, position, UNIT * 2)
        assert (report.status, report.executed_qty) == ("EXPIRED", UNIT)
        assert report.terminal
        trades = await venue.trades_of_order(scene.symbol, report.order_id)
        assert sum(trade.quantity for trade in trades) == UNIT


async def test_in_hedge_mode_each_side_closes_without_the_flag(scene: Scene) -> None:
    await scene.signed("POST", "/fapi/v1/positionSide/dual", dualSidePosition="true")
    for side, position_side in (("BUY", "LONG"), ("SELL", "SHORT")):
        await scene.signed(
            "POST",
            "/fapi/v1/order",
            symbol=scene.symbol,
            side=side,
            positionSide=position_side,
            type="MARKET",
            quantity=str(UNIT),
        )
    async with scene.venue() as venue:
        assert await venue.dual_side() is True
        assert venue.known_dual_side is True
        long = await venue.position(scene.symbol, PositionSide.LONG)
        short = await venue.position(scene.symbol, PositionSide.SHORT)
        assert (long.amount, short.amount) == (UNIT, -UNIT)
        await close(venue, long, UNIT)
        assert (await venue.position(scene.symbol, PositionSide.LONG)).amount == 0
        assert (await venue.position(scene.symbol, PositionSide.SHORT)).amount == -UNIT
        again = await venue.place(reducing(venue, long, UNIT))
        assert isinstance(again, Refusal)
        assert (again.code, again.kind) == (-2022, Class.FLAT_CHECK)
        await close(venue, short, UNIT)


async def test_a_mode_that_changed_under_us_is_noticed_by_the_next_read_of_a_position(scene: Scene) -> None:
    async with scene.venue() as venue:
        for dual, side in ((True, BOTH), (False, PositionSide.LONG)):
            assert await venue.dual_side() is not dual
            await scene.signed("POST", "/fapi/v1/positionSide/dual", dualSidePosition=str(dual).lower())
            assert await venue.dual_side() is not dual
            with pytest.raises(WrongMode):
                await venue.position(scene.symbol, side)
            assert await venue.dual_side() is dual


async def test_with_a_price_in_hedge_mode_a_side_closes_without_the_flag(scene: Scene) -> None:
    await scene.signed("POST", "/fapi/v1/positionSide/dual", dualSidePosition="true")
    await scene.signed(
        "POST",
        "/fapi/v1/order",
        symbol=scene.symbol,
        side="SELL",
        positionSide="SHORT",
        type="MARKET",
        quantity=str(UNIT),
    )
    async with scene.venue() as venue:
        short = await venue.position(scene.symbol, PositionSide.SHORT)
        rules = await venue.rules(scene.symbol)
        assert rules is not None
        report = await venue.place(reducing(venue, short, UNIT, near_mark(short, rules, "1.01")))
        assert isinstance(report, OrderReport)
        assert (report.status, report.position_side) == ("FILLED", PositionSide.SHORT)
        assert (await venue.position(scene.symbol, PositionSide.SHORT)).amount == 0


async def test_an_order_for_the_wrong_mode_is_refused_for_another_try(scene: Scene) -> None:
    async with scene.venue() as venue:
        await venue.measure_clock()
        order = ReducingOrder(
            symbol=scene.symbol,
            side=Side.SELL,
            position_side=PositionSide.LONG,
            quantity=UNIT,
            client_order_id="sc-mode",
            timestamp=venue.clock.now(),
            recv_window=2000,
        )
        refusal = await venue.place(order)
        assert isinstance(refusal, Refusal)
        assert (refusal.code, refusal.kind) == (-4061, Class.RETRY)


async def test_pages_of_history_are_put_together_without_loss(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "PAGE", 5)
    async with scene.venue() as venue:
        start = await venue.server_time()
        await scene.open(UNIT * 10)
        reports = [await close(venue, await venue.position(scene.symbol, BOTH), UNIT / 2) for _ in range(20)]
        orders = await venue.orders_since(scene.symbol, start)
        assert [order.order_id for order in orders[1:]] == [report.order_id for report in reports]
        trades = await venue.trades_since(scene.symbol, start)
        assert sum(trade.signed for trade in trades) == 0
        assert {trade.order_id for trade in trades} == {order.order_id for order in orders}


async def test_a_hundred_orders_at_once_are_all_answered(scene: Scene) -> None:
    async with scene.venue() as venue:
        await scene.open(UNIT * 100)
        position = await venue.position(scene.symbol, BOTH)
        reports = await asyncio.gather(*(close(venue, position, UNIT) for _ in range(100)))
        assert all(report.status == "FILLED" for report in reports)
        assert len({report.order_id for report in reports}) == 100
        assert (await venue.position(scene.symbol, BOTH)).amount == 0
