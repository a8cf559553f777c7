"""What every venue owes the close engine: one suite, run on the paper exchange and, with keys, on the testnet.

A subclass provides the fixture ``scene``. The suite opens its own positions, by plain signed requests, for the port
has no way to open one.
"""

import asyncio
import hashlib
import hmac
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from urllib.parse import urlencode

import aiohttp
import msgspec
import pytest

from sureclose.domain.market import Class, OrderReport, Position, Refusal, SymbolRules
from sureclose.domain.words import PositionSide, Side
from sureclose.venue.environments import VenueSettings
from sureclose.venue.errors import VenueError
from sureclose.venue.port import Purpose, ReducingOrder, Venue
from sureclose.venue.rest import BinanceRest
from sureclose.venue.secret import Credentials, Secret
from sureclose.venue.stream_events import AccountUpdate, Connected, OrderUpdate, StreamEvent
from sureclose.venue.user_stream import UserStream

BOTH = PositionSide.BOTH


class Scene(msgspec.Struct):
    """A venue, and the means to put a position there."""

    settings: VenueSettings
    credentials: Credentials
    rest: str
    symbol: str
    unit: Decimal
    """A quantity on the step that is safely above every minimum; positions are a few of these."""

    @asynccontextmanager
    async def venue(self) -> AsyncIterator[BinanceRest]:
        async with BinanceRest(self.settings, self.credentials) as venue:
            yield venue

    async def signed(self, method: str, path: str, **values: str) -> dict[str, object]:
        """A request of our own making, independent of the code under test."""
        query = urlencode({**values, "recvWindow": "5000", "timestamp": str(time.time_ns() // 1_000_000)})
        key, secret = self.credentials.api_key.reveal(), self.credentials.api_secret.reveal()
        signature = hmac.new(secret.encode(), query.encode(), hashlib.sha256).hexdigest()
        async with (
            aiohttp.ClientSession(headers={"X-MBX-APIKEY": key}) as session,
            session.request(method, f"{self.rest}{path}?{query}&signature={signature}") as response,
        ):
            answer: dict[str, object] = await response.json()
            assert response.status == 200, answer
            return answer

    async def open(self, amount: Decimal) -> None:
        """Add a signed amount to the position at market."""
        await self.signed(
            "POST",
            "/fapi/v1/order",
            symbol=self.symbol,
            side="BUY" if amount > 0 else "SELL",
            type="MARKET",
            quantity=format(abs(amount), "f"),
            newOrderRespType="RESULT",
        )


def near_mark(position: Position, rules: SymbolRules, times: str) -> Decimal:
    """A price on the tick, so many times the mark price."""
    return position.mark_price * Decimal(times) // rules.tick * rules.tick


def reducing(
    venue: Venue, position: Position, quantity: Decimal, limit_price: Decimal | None = None
) -> ReducingOrder:
    return ReducingOrder(
        symbol=position.symbol,
        side=Side.SELL if position.amount > 0 else Side.BUY,
        position_side=position.position_side,
        quantity=quantity,
        client_order_id=f"sc-{secrets.token_hex(12)}",
        timestamp=venue.clock.now(),
        recv_window=2000,
        limit_price=limit_price,
    )


async def close(venue: Venue, position: Position, quantity: Decimal) -> OrderReport:
    async with venue.order_slot():
        report = await venue.place(reducing(venue, position, quantity))
    assert isinstance(report, OrderReport), report
    return report


class VenueContract:
    """Each test is one promise of the port."""

    @pytest.mark.parametrize("sign", [1, -1])
    async def test_a_close_is_filled_found_by_its_id_explained_by_its_trades_and_leaves_zero(
        self, scene: Scene, sign: int
    ) -> None:
        async with scene.venue() as venue:
            start = await venue.server_time()
            await scene.open(scene.unit * 3 * sign)
            position = await venue.position(scene.symbol, BOTH)
            assert position.amount == scene.unit * 3 * sign
            report = await close(venue, position, abs(position.amount))
            assert (report.status, report.executed_qty) == ("FILLED", scene.unit * 3)
            assert report.reduce_only

            assert await venue.order(scene.symbol, report.client_order_id) == report
            trades = await venue.trades_of_order(scene.symbol, report.order_id)
            assert sum(trade.signed for trade in trades) == -position.amount
            flat = await venue.position(scene.symbol, BOTH)
            assert flat.amount == 0
            assert flat.update_time >= max(trade.time for trade in trades)
            assert flat.requested_at >= position.requested_at

            orders = await venue.orders_since(scene.symbol, start, Purpose.OBSERVE)
            assert report.client_order_id in {order.client_order_id for order in orders}
            ids = {trade.trade_id for trade in await venue.trades_since(scene.symbol, start)}
            assert {trade.trade_id for trade in trades} <= ids
            later = await venue.server_time() + 1
            assert await venue.orders_since(scene.symbol, later) == []
            assert await venue.trades_since(scene.symbol, later) == []

    async def test_nothing_reduces_a_position_that_is_flat(self, scene: Scene) -> None:
        async with scene.venue() as venue:
            await scene.open(scene.unit)
            position = await venue.position(scene.symbol, BOTH)
            await close(venue, position, scene.unit)
            again = reducing(venue, position, scene.unit)
            refusal = await venue.place(again)
            assert isinstance(refusal, Refusal)
            assert (refusal.code, refusal.kind) == (-2022, Class.FLAT_CHECK)
            assert await venue.order(scene.symbol, again.client_order_id) is None

    async def test_an_order_of_the_wrong_side_increases_nothing(self, scene: Scene) -> None:
        async with scene.venue() as venue:
            await scene.open(scene.unit)
            position = await venue.position(scene.symbol, BOTH)
            wrong = msgspec.structs.replace(reducing(venue, position, scene.unit), side=Side.BUY)
            assert isinstance(await venue.place(wrong), Refusal)
            assert (await venue.position(scene.symbol, BOTH)).amount == scene.unit
            await close(venue, position, scene.unit)

    async def test_an_order_larger_than_the_position_never_turns_it(self, scene: Scene) -> None:
        async with scene.venue() as venue:
            await scene.open(scene.unit)
            position = await venue.position(scene.symbol, BOTH)
            report = await close(venue, position, scene.unit * 5)
            assert report.executed_qty == scene.unit
            assert report.terminal
            assert (await venue.position(scene.symbol, BOTH)).amount == 0

    async def test_partial_closes_add_up(self, scene: Scene) -> None:
        async with scene.venue() as venue:
            await scene.open(scene.unit * 4)
            for left in (3, 2, 1, 0):
                position = await venue.position(scene.symbol, BOTH)
                await close(venue, position, scene.unit)
                assert (await venue.position(scene.symbol, BOTH)).amount == scene.unit * left

    async def test_past_its_deadline_an_order_is_refused_and_never_exists(self, scene: Scene) -> None:
        async with scene.venue() as venue:
            await scene.open(scene.unit)
            position = await venue.position(scene.symbol, BOTH)
            late = msgspec.structs.replace(
                reducing(venue, position, scene.unit), timestamp=venue.clock.earliest() - 2100
            )
            refusal = await venue.place(late)
            assert isinstance(refusal, Refusal)
            assert (refusal.code, refusal.kind) == (-1021, Class.RETRY)
            assert await venue.server_time() > late.deadline
            assert await venue.order(scene.symbol, late.client_order_id) is None
            await close(venue, await venue.position(scene.symbol, BOTH), scene.unit)

    async def test_an_order_from_the_future_is_refused(self, scene: Scene) -> None:
        async with scene.venue() as venue:
            await scene.open(scene.unit)
            position = await venue.position(scene.symbol, BOTH)
            early = msgspec.structs.replace(
                reducing(venue, position, scene.unit), timestamp=venue.clock.latest() + 5000
            )
            refusal = await venue.place(early)
            assert isinstance(refusal, Refusal)
            assert refusal.code == -1021
            await close(venue, position, scene.unit)

    async def test_a_quantity_off_the_step_is_refused(self, scene: Scene) -> None:
        async with scene.venue() as venue:
            await scene.open(scene.unit)
            position = await venue.position(scene.symbol, BOTH)
            rules = await venue.rules(scene.symbol)
            assert rules is not None
            refusal = await venue.place(reducing(venue, position, rules.min_qty + rules.step / 2))
            assert isinstance(refusal, Refusal)
            assert refusal.code in {-1111, -4023}
            await close(venue, position, scene.unit)

    async def test_the_rules_bound_what_is_ordered(self, scene: Scene) -> None:
        async with scene.venue() as venue:
            rules = await venue.rules(scene.symbol)
        assert rules is not None
        assert rules.symbol == scene.symbol
        assert rules.status == "TRADING"
        assert rules.step > 0
        assert rules.min_qty <= scene.unit <= rules.max_qty
        assert rules.tick > 0
        assert 0 < rules.multiplier_down < 1 < rules.multiplier_up
        assert 0 < rules.min_price < rules.max_price

    @pytest.mark.parametrize("sign", [1, -1])
    async def test_with_a_price_that_the_book_meets_a_close_fills_and_with_another_it_rests_nowhere(
        self, scene: Scene, sign: int
    ) -> None:
        async with scene.venue() as venue:
            await scene.open(scene.unit * sign)
            position = await venue.position(scene.symbol, BOTH)
            rules = await venue.rules(scene.symbol)
            assert rules is not None
            worse, better = ("0.99", "1.01") if sign > 0 else ("1.01", "0.99")
            missed = await venue.place(
                reducing(venue, position, scene.unit, near_mark(position, rules, better))
            )
            assert isinstance(missed, OrderReport)
            assert (missed.status, missed.reduce_only) == ("EXPIRED", True)
            assert missed.executed_qty == 0
            assert await venue.resting(scene.symbol) == []
            hit = await venue.place(reducing(venue, position, scene.unit, near_mark(position, rules, worse)))
            assert isinstance(hit, OrderReport)
            assert (hit.status, hit.order_type, hit.reduce_only) == ("FILLED", "LIMIT", True)
            assert (await venue.position(scene.symbol, BOTH)).amount == 0

    async def test_an_order_with_a_price_reduces_nothing_that_is_flat(self, scene: Scene) -> None:
        async with scene.venue() as venue:
            await scene.open(scene.unit)
            position = await venue.position(scene.symbol, BOTH)
            rules = await venue.rules(scene.symbol)
            assert rules is not None
            await close(venue, position, scene.unit)
            refusal = await venue.place(
                reducing(venue, position, scene.unit, near_mark(position, rules, "0.99"))
            )
            assert isinstance(refusal, Refusal)
            assert refusal.kind is Class.FLAT_CHECK

    async def test_an_order_that_rests_is_listed_until_it_is_cancelled(self, scene: Scene) -> None:
        async with scene.venue() as venue:
            assert await venue.resting(scene.symbol) == []
            await scene.open(scene.unit * 2)
            position = await venue.position(scene.symbol, BOTH)
            rules = await venue.rules(scene.symbol)
            assert rules is not None
            price = near_mark(position, rules, "1.02")
            placed = await scene.signed(
                "POST",
                "/fapi/v1/order",
                symbol=scene.symbol,
                side="SELL",
                type="LIMIT",
                timeInForce="GTC",
                price=format(price, "f"),
                quantity=format(scene.unit, "f"),
                reduceOnly="true",
                newClientOrderId=f"web_{secrets.token_hex(8)}",
            )
            (order,) = await venue.resting(scene.symbol)
            assert (order.order_id, order.client_order_id) == (placed["orderId"], placed["clientOrderId"])
            assert (order.conditional, order.side, order.position_side) == (False, Side.SELL, BOTH)
            assert (order.quantity, order.price) == (scene.unit, price)
            assert order.reduces
            await venue.cancel(order)
            assert await venue.resting(scene.symbol) == []
            await venue.cancel(order)
            await close(venue, position, scene.unit * 2)

    async def test_a_symbol_that_does_not_exist_is_no_flat_position(self, scene: Scene) -> None:
        async with scene.venue() as venue:
            assert await venue.rules("NOSUCHUSDT") is None
            with pytest.raises(VenueError):
                await venue.position("NOSUCHUSDT", BOTH)
            order = ReducingOrder(
                symbol="NOSUCHUSDT",
                side=Side.SELL,
                position_side=BOTH,
                quantity=Decimal(1),
                client_order_id="sc-nosuch",
                timestamp=venue.clock.now(),
                recv_window=2000,
            )
            refusal = await venue.place(order)
            assert isinstance(refusal, Refusal)
            assert refusal.code == -1121

    async def test_a_side_that_the_mode_does_not_have_is_no_flat_position(self, scene: Scene) -> None:
        async with scene.venue() as venue:
            assert venue.known_dual_side is False
            assert await venue.dual_side() is False
            assert venue.known_dual_side is False
            with pytest.raises(VenueError, match="LONG"):
                await venue.position(scene.symbol, PositionSide.LONG)

    async def test_many_callers_at_once_get_positions_read_after_they_called(self, scene: Scene) -> None:
        async with scene.venue() as venue:
            called = await venue.server_time()
            rows = await asyncio.gather(*(venue.position(scene.symbol, BOTH) for _ in range(50)))
            assert all(row.requested_at >= called - venue.clock.error_ms() * 2 for row in rows)
            assert len({row.requested_at for row in rows}) == 1

    async def test_only_what_is_open_is_listed(self, scene: Scene) -> None:
        async with scene.venue() as venue:
            await scene.open(-scene.unit)
            (row,) = [row for row in await venue.positions() if row.symbol == scene.symbol]
            assert row.amount == -scene.unit
            await close(venue, row, scene.unit)
            assert scene.symbol not in {row.symbol for row in await venue.positions()}

    async def test_the_clock_agrees_with_the_venue(self, scene: Scene) -> None:
        async with scene.venue() as venue:
            await venue.measure_clock()
            before = venue.clock.earliest()
            told = await venue.server_time()
            assert before <= told <= venue.clock.latest()

    async def test_a_good_key_may_trade_and_a_bad_one_is_an_error(self, scene: Scene) -> None:
        async with scene.venue() as venue:
            assert (await venue.account()).can_trade
        wrong = Credentials(Secret("0" * 64), scene.credentials.api_secret)
        async with BinanceRest(scene.settings, wrong) as venue:
            with pytest.raises(VenueError) as caught:
                await venue.account()
            assert caught.value.code in {-2014, -2015}
        wrong = Credentials(scene.credentials.api_key, Secret("0" * 64))
        async with BinanceRest(scene.settings, wrong) as venue:
            with pytest.raises(VenueError) as caught:
                await venue.account()
            assert caught.value.code == -1022

    async def test_the_stream_tells_the_fill_and_the_zero(self, scene: Scene) -> None:
        events: asyncio.Queue[StreamEvent] = asyncio.Queue()
        stop = asyncio.Event()
        async with scene.venue() as venue, asyncio.timeout(30):
            await scene.open(scene.unit)
            stream = UserStream(scene.settings, venue)
            task = asyncio.create_task(stream.run(events.put, stop))
            assert await events.get() == Connected(1)
            report = await close(venue, await venue.position(scene.symbol, BOTH), scene.unit)
            filled, zero = False, False
            while not (filled and zero):
                event = await events.get()
                if isinstance(event, OrderUpdate) and event.report.client_order_id == report.client_order_id:
                    filled = filled or (event.trade is not None and event.report.status == "FILLED")
                if isinstance(event, AccountUpdate):
                    zero = zero or any(row.amount == 0 for row in event.positions)
            stop.set()
            await task

    async def test_after_another_program_deleted_the_listen_key_the_stream_comes_back(
        self, scene: Scene
    ) -> None:
        events: asyncio.Queue[StreamEvent] = asyncio.Queue()
        stop = asyncio.Event()
        settings = msgspec.structs.replace(scene.settings, stream_idle_ms=300)
        async with scene.venue() as venue, asyncio.timeout(30):
            await scene.open(scene.unit)
            stream = UserStream(settings, venue)
            task = asyncio.create_task(stream.run(events.put, stop))
            assert await events.get() == Connected(1)
            await scene.signed("DELETE", "/fapi/v1/listenKey")
            while (event := await events.get()) != Connected(2):
                assert not isinstance(event, OrderUpdate | AccountUpdate)
            report = await close(venue, await venue.position(scene.symbol, BOTH), scene.unit)
            while not isinstance(event, OrderUpdate):
                event = await events.get()
            assert event.report.client_order_id == report.client_order_id
            stop.set()
            await task
