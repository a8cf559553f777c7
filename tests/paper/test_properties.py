"""Whatever orders arrive: the books agree with themselves, and reduce-only reduces."""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import json

from sureclose.paper.errors import VenueError
from sureclose.paper.facts import AnyFact
from sureclose.paper.ledger import Ledger
from sureclose.paper.params import Params
from sureclose.paper.positions import Position

from .pure import Pure

AMOUNT = st.integers(1, 3000).map(lambda number: f"{number / 1000:.3f}")
ORDER = st.fixed_dictionaries(
    {"side": st.sampled_from(["BUY", "SELL"]), "quantity": AMOUNT},
    optional={
        "reduceOnly": st.sampled_from(["true", "false"]),
        "price": st.sampled_from(["2380", "2399.99", "2400", "2420"]),
    },
)
STEP = ORDER | st.sampled_from(["2370", "2400", "2430"]) | st.just(None)


def act(pure: Pure, step: dict[str, str] | str | None) -> None:
    if step is None:
        pure.desk.cancel_all("ETHUSDT")
    elif isinstance(step, str):
        pure.price(step)
    else:
        kind = {"type": "LIMIT", "timeInForce": "GTC"} if "price" in step else {"type": "MARKET"}
        pure.desk.place(Params({"symbol": "ETHUSDT", **kind, **step}))


@given(seed=st.sampled_from(["0.7", "-0.7", ""]), steps=st.lists(STEP, max_size=25))
@settings(max_examples=150, deadline=None)
def test_position_is_seed_plus_trades_and_reduce_only_never_increases_or_flips(
    seed: str, steps: list[dict[str, str] | str | None]
) -> None:
    pure = Pure()
    facts: list[AnyFact] = []
    commit = pure.desk.commit

    def remember(committed: list[AnyFact]) -> None:
        facts.extend(json.decode(json.encode(committed), type=list[AnyFact]))
        commit(committed)

    setattr(pure.desk, "commit", remember)  # noqa: B010  a plain assignment is an error to mypy
    if seed:
        pure.seed(seed)
    for step in steps:
        pure.now += 10
        try:
            act(pure, step)
        except VenueError:
            continue
    ledger = pure.desk.ledger
    amount = Decimal(seed or 0)
    for trade in ledger.trades:
        before, amount = amount, amount + trade.signed_quantity
        if ledger.orders[trade.order_id].reduce_only:
            assert abs(amount) < abs(before)
            assert amount * before >= 0
    assert amount == pure.amount
    for order in ledger.orders.values():
        fills = sum((one.quantity for one in ledger.trades if one.order_id == order.order_id), Decimal(0))
        assert fills == order.executed <= order.quantity
        assert order.is_open == (order.order_id in ledger.open_orders)
    resting = [order for order in ledger.open_orders.values() if order.reduce_only]
    assert sum(order.remaining for order in resting) <= abs(amount)
    assert all(order.sign * amount < 0 for order in resting)

    again = Ledger()
    for fact in facts:
        again.apply(fact)
    assert again.orders == ledger.orders
    assert again.positions == ledger.positions
    assert again.trades == ledger.trades


@given(
    st.lists(
        st.tuples(st.integers(-500, 500).filter(bool), st.integers(1000, 3000)), min_size=1, max_size=30
    ),
)
def test_realized_and_unrealized_profit_add_up_to_what_the_trades_cost(trades: list[tuple[int, int]]) -> None:
    position, realized, cash = Position("ETHUSDT", "BOTH"), Decimal(0), Decimal(0)
    for number, (amount, price) in enumerate(trades):
        quantity = Decimal(amount) / 1000
        position, gained = position.after(quantity, Decimal(price), number)
        realized += gained
        cash -= quantity * price
    worth = cash + position.amount * 2000
    assert abs(realized + position.amount * (2000 - position.entry_price) - worth) < Decimal("0.000001")
