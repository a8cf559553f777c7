"""The production code's own values that the model works with: policy, symbol, decisions and ids."""

from functools import cache
from typing import Final

from sureclose.domain.close import State
from sureclose.domain.events import Decision, EntryRef
from sureclose.domain.facts import AnyFact
from sureclose.domain.ids import client_order_id_for
from sureclose.domain.market import SymbolRules
from sureclose.domain.policy import Clears, Policy
from sureclose.domain.quantity import ZERO
from sureclose.domain.steps import AnyEffect
from tests.domain.scripts import SYMBOL, decision
from tests.model.pool import Pool
from tests.model.world import PLANS, START

__all__ = ["SYMBOL"]

MAX_AGE: Final = 60_000
POLICY: Final = Policy(
    account="paper:main",
    max_age=MAX_AGE,
    not_found_answers=2,
    park_after=5_000,
    patience=1,
    clears=Clears.NONE,
    tidies=False,
)
"""Production's but for its counts: two answers prove what three do, and what is tried ten times is tried once."""
RULES: Final = SymbolRules(
    symbol=SYMBOL,
    status="TRADING",
    step=ZERO + 1,
    min_qty=ZERO + 1,
    max_qty=ZERO + 100,
    tick=ZERO + 1,
)

STATES: Final[Pool[State]] = Pool()
EFFECTS: Final[Pool[AnyEffect]] = Pool()
FACTS: Final[Pool[AnyFact]] = Pool()


@cache
def wish(plan: int, fraction: str) -> Decision:
    """The decision of a close. It was made just before the start, when the position was open for long."""
    return decision(fraction=fraction, plan_id=PLANS[plan], origin_at=START - 100)


@cache
def entry_ref(entry: int) -> EntryRef:
    return EntryRef("apply.result", f"{entry + 1}-0")


@cache
def order_name(plan: int, attempt: int) -> str:
    """The client order id of an attempt."""
    return client_order_id_for(POLICY.client_order_id_prefix, POLICY.account, PLANS[plan], attempt)
