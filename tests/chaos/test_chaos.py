"""A minute of chaos in every run; ``make chaos`` is the large one. And its judge finds what chaos could hide."""

from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from tests.acceptance.world import Market, Records
from tests.chaos.judge import Fate, Judged, judge
from tests.chaos.plans import ODD, UNIT, Episode, Expiry, Plan
from tests.chaos.report import BEGIN, END, PAGE, Report, table, write
from tests.chaos.running import run

SYMBOL: Final = "ETHUSDT"
MARKET: Final = Market(SYMBOL, Decimal(1), Decimal(2400))
NEEDED: Final = ("kill the leader", "kill the log", "kill everything", "stop the leader", "lossy line")


@pytest.mark.timeout(400)
async def test_a_minute_of_kills_and_faults_doubles_and_loses_no_close(tmp_path: Path) -> None:
    """Acts come more often than in the large form, and the needed ones are the first in this seed's deck."""
    found = (await run(tmp_path, seconds=45, seed=340, gap_s=1.0, patience_s=100)).as_dict()
    assert not found["violations"], f"{table(found)}\neverything is in {tmp_path}"
    assert found["decisions"] > 50, "hardly anything was asked for"
    assert all(found["acts"].get(act) for act in NEEDED), found["acts"]
    assert sum(found["strikes"].values()) > 50, "the exchange had no faults"


# The judge -----------------------------------------------------------------------------------------------------------


def plan(name: str, quantity: int, *, whole: bool = False, expiry: Expiry = Expiry.NONE) -> Plan:
    return Plan(name, Decimal(quantity), whole, expiry, 1000)


class Books:
    """The exchange's records of one symbol, order by order."""

    def __init__(self, put: int) -> None:
        self.held = put
        self.orders: list[dict[str, Any]] = []
        self.trades: list[dict[str, Any]] = []

    def order(self, asked: int, executed: int | None = None, prefix: str = "sc-") -> None:
        """An order for so much, closing, of which so much was executed."""
        number, quantity = len(self.orders) + 1, asked if executed is None else executed
        side = "SELL" if self.held > 0 else "BUY"
        both = {
            "orderId": number,
            "symbol": SYMBOL,
            "side": side,
            "positionSide": "BOTH",
            "time": 1000 + number,
        }
        self.orders.append(
            {
                **both,
                "clientOrderId": f"{prefix}{number}",
                "reduceOnly": True,
                "origQty": str(asked),
                "executedQty": str(quantity),
            }
        )
        if quantity:
            self.trades.append({**both, "id": number, "qty": str(quantity), "price": "2400"})
            self.held -= quantity if self.held > 0 else -quantity

    def judged(self, *episodes: Episode) -> Judged:
        position = {"symbol": SYMBOL, "positionSide": "BOTH", "positionAmt": str(self.held)}
        raw = {"orders": self.orders, "trades": self.trades, "positions": [position], "requests": []}
        return judge(episodes, Records(raw), ())


def episode(put: int, *plans: Plan) -> Episode:
    return Episode(SYMBOL, Decimal(put), 1000, list(plans))


def fates(judged: Judged) -> list[Fate]:
    return [one.fate for one in judged.verdicts]


def test_a_part_and_the_rest_in_several_orders_pass() -> None:
    books = Books(64)
    books.order(16, 8)
    books.order(8)
    books.order(48)
    judged = books.judged(episode(64, plan("part", 16), plan("rest", 48, whole=True)))
    assert (fates(judged), judged.violations) == ([Fate.REDUCED, Fate.FLAT], [])


def test_a_close_sized_before_a_part_was_gone_passes_when_the_venue_cut_it() -> None:
    books = Books(64)
    books.order(16)
    books.order(64, 48)
    judged = books.judged(episode(64, plan("part", 16), plan("rest", 48, whole=True)))
    assert judged.violations == []


def test_a_second_effect_that_hits_the_next_position_is_found() -> None:
    books = Books(-64)
    books.order(64)
    books.held = -128
    books.order(64)
    books.order(128, 64)
    judged = books.judged(
        episode(-64, plan("first", 64, whole=True)), episode(-128, plan("next", 128, whole=True))
    )
    assert fates(judged)[0] is Fate.TWICE
    assert judged.violations


def test_a_second_effect_on_what_a_part_left_is_found() -> None:
    books = Books(64)
    books.order(16)
    books.order(16)
    books.order(48, 32)
    judged = books.judged(episode(64, plan("part", 16), plan("rest", 48, whole=True)))
    assert fates(judged)[0] is Fate.TWICE


@pytest.mark.parametrize("executed", [None, 32])
def test_an_effect_that_never_came_or_not_to_the_full_is_found(executed: int | None) -> None:
    books = Books(64)
    if executed:
        books.order(64, executed)
    judged = books.judged(episode(64, plan("all", 64, whole=True)))
    assert fates(judged) == [Fate.NEVER]
    assert judged.violations


def test_an_approval_that_ran_out_is_no_loss_where_that_was_injected_and_must_have_no_effect() -> None:
    books = Books(64)
    books.order(64)
    expired = plan("late", 16, expiry=Expiry.PAST)
    judged = books.judged(episode(64, expired, plan("all", 64, whole=True)))
    assert (fates(judged), judged.violations) == ([Fate.EXPIRED, Fate.FLAT], [])
    books = Books(64)
    books.order(16)
    books.order(48)
    judged = books.judged(episode(64, expired, plan("rest", 48, whole=True)))
    assert any("had expired" in what for what in judged.violations)


def test_what_the_venue_took_is_neither_lost_nor_doubled() -> None:
    books = Books(64)
    books.order(64, 32)
    books.order(32, prefix="autoclose-")
    judged = books.judged(episode(64, plan("all", 64, whole=True)))
    assert (fates(judged), judged.violations) == ([Fate.TAKEN], [])


def test_a_client_order_id_that_came_twice_is_found_however_long_ago() -> None:
    """The exchange remembers its latest requests only, and every order."""
    books = Books(64)
    books.order(16, 8)
    books.order(8)
    books.orders[1]["clientOrderId"] = books.orders[0]["clientOrderId"]
    judged = books.judged(episode(64, plan("part", 16)))
    assert any("used twice" in what for what in judged.violations)


def test_an_order_that_nobody_asked_for_is_found() -> None:
    books = Books(64)
    books.order(5)
    books.order(59)
    assert books.judged(episode(64, plan("all", 64, whole=True))).violations


def test_no_two_plans_of_a_symbol_can_ask_for_the_same() -> None:
    """Nor what is left of them when an order was filled by half, as often as that is likely."""
    shares = (64, 48, 36, 16, 12)
    asked = [
        quantity
        for number in ODD
        for quantity in {share * number // 2**halved for share in shares for halved in range(3)}
    ]
    assert len(asked) == len(set(asked))
    assert all(number * UNIT % 4 == 0 for number in ODD)


def test_a_parked_close_and_one_without_an_outcome_are_violations() -> None:
    books = Books(64)
    books.order(64)
    parked = plan("all", 64, whole=True)
    parked.outcome = "PARKED(contradiction)"
    judged = books.judged(episode(64, parked))
    report = Report(1, 60, 70.0, judged, [f"{SYMBOL}: no outcome"], {}, {}, {})
    assert len(report.violations) == 2


def test_a_run_replaces_the_row_of_its_seed_and_leaves_the_rest_of_the_page(tmp_path: Path) -> None:
    page = tmp_path / "chaos.md"
    page.write_text(f"above\n{BEGIN}{END}below\n")
    for seed in (2, 1, 2):
        write(Report(seed, 600, 700.0, Judged(), (), {"kill the log": seed}, {}, {}).as_dict(), page)
    lines = page.read_text().splitlines()
    assert (lines[0], lines[-1]) == ("above", "below")
    assert [line[:6] for line in lines[4:6]] == ["| 1 | ", "| 2 | "]
    assert len(lines) == 8
    assert BEGIN + END in PAGE.read_text() or "| seed |" in PAGE.read_text()
