"""The safety controller's right to one close: what the script that records it asks for, and what the gate asks for again."""

from decimal import Decimal
from typing import Final

import msgspec
import pytest

from sureclose.domain.arming import SUNSET_MS, Armed, Arming
from sureclose.domain.authority import Component
from sureclose.domain.events import EntryRef
from sureclose.domain.facts import Admitted, Clearing, Why
from sureclose.domain.safety import TRIES, Breach, Rule, decision_of, intent_id_of, plan_id_of
from sureclose.domain.words import Mode
from sureclose.journal import lease
from sureclose.journal.chain import Chain
from sureclose.journal.fence import Fence
from sureclose.journal.safety import SafetyBook
from sureclose.journal.verdict import Verdict
from sureclose.streams.connection import Log
from tests.journal.journals import COMPONENT, POSITION, Desk, sending

SAFETY: Final = Component.SAFETY_CONTROLLER
PLACE: Final = "paper key 0123"
FROZEN_AT: Final = "1700000000000"
EVENT: Final = {"event": "BASELINE_SAFETY_CLOSE"}
BREACH: Final = Breach(
    position=POSITION, rule=Rule.LOSS, seen="-4.00 %", threshold="<= -3.00 %", episode="e1", number=1
)
INTENT: Final = intent_id_of("paper:main", BREACH)
PLAN: Final = plan_id_of(INTENT, POSITION)


class Guard:
    """A controller with the lease, armed under a freeze."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.events = f"{desk.prefix}authority.events"
        self.fence = Fence()
        self.book = SafetyBook(desk.wire, desk.keys, self.fence, self.events)

    async def open(self) -> "Guard":
        desk = self.desk
        taken = await lease.take(desk.wire, desk.keys, "guard", 60_000, component=SAFETY)
        assert taken is not None
        desk.lease = taken
        await desk.do("HSET", desk.keys.freeze, "at", FROZEN_AT, "revision", "2")
        await self.arm()
        return self

    async def arm(self, *, expires_in: int = SUNSET_MS, freeze_at: str = FROZEN_AT) -> None:
        seconds, _ = await self.desk.do("TIME")
        now = 1000 * int(seconds)
        arming = Arming(
            state=Armed.ARMED,
            actor="ann",
            armed_at=now,
            expires_at=now + expires_in,
            revision=1,
            freeze_at=freeze_at,
            place=PLACE,
        )
        await self.desk.do("DEL", self.desk.keys.safety)
        record = [part for pair in arming.record().items() for part in pair]
        await self.desk.do("HSET", self.desk.keys.safety, *record)

    async def fire(self, breach: Breach = BREACH, *, place: str = PLACE) -> Verdict:
        verdict, entry_id = await self.book.fire(self.desk.lease, breach, "paper:main", place, EVENT)
        assert bool(entry_id) == (verdict is Verdict.OK)
        return verdict

    async def said(self) -> int:
        return int(await self.desk.do("XLEN", self.events))

    async def unfreeze(self) -> None:
        await self.desk.do("DEL", self.desk.keys.freeze)

    async def freeze_anew(self) -> None:
        await self.desk.do("HSET", self.desk.keys.freeze, "at", "1700000009999")

    async def disarm(self) -> None:
        assert await self.book.end(Armed.DISARMED, 1, "ann", {"event": "BASELINE_SAFETY_DISARMED"})

    async def lose_lease(self) -> None:
        await self.desk.do("DEL", self.desk.keys.lease)
        assert await lease.take(self.desk.wire, self.desk.keys, "other", 60_000) is not None

    async def expire(self) -> None:
        await self.desk.do("HSET", self.desk.keys.safety, "expires_at", "1700000000001")

    def chain(self, plan_id: str = PLAN) -> Chain:
        decision = decision_of("paper:main", BREACH, EntryRef("s", "1-0"), 1, Mode.PAPER)
        chain = Chain(plan_id)
        chain.unwritten.append(Admitted(decision=decision, entry=EntryRef("s", "1-0")))
        return chain

    async def gate(self, chain: Chain, component: str = SAFETY) -> Verdict:
        passage = await self.desk.journal.gate(
            chain,
            self.desk.lease,
            component=component,
            warranted_intent=INTENT,
            intent_id=INTENT,
            sending=sending(1),
        )
        return passage.verdict


@pytest.fixture
async def guard(log: Log, log_prefix: str) -> Guard:
    return await Guard(Desk(log, log_prefix)).open()


async def test_the_right_to_one_close_and_its_event_are_recorded_together(guard: Guard) -> None:
    assert await guard.fire() is Verdict.OK
    assert await guard.said() == 1
    right = await guard.desk.do("GET", guard.desk.keys.safety_right(INTENT))
    assert right.decode() == f"{PLAN} {guard.desk.lease.epoch}"
    assert 0 < await guard.desk.do("PTTL", guard.desk.keys.safety_right(INTENT)) <= 60_000
    (fired,) = await guard.book.fired()
    assert (fired.symbol, fired.rule, fired.number, fired.plan_id) == (POSITION.symbol, Rule.LOSS, 1, PLAN)


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ("unfreeze", Verdict.NOT_FROZEN),
        ("freeze_anew", Verdict.NOT_ARMED),
        ("disarm", Verdict.NOT_ARMED),
        ("expire", Verdict.NOT_ARMED),
        ("lose_lease", Verdict.STALE_LEASE),
    ],
)
async def test_without_freeze_arming_or_lease_there_is_no_right_and_nothing_is_written(
    guard: Guard, change: str, verdict: Verdict
) -> None:
    await getattr(guard, change)()
    before = await guard.desk.everything()
    assert await guard.fire() is verdict
    assert await guard.desk.everything() == before


async def test_incident_65_what_was_armed_for_one_venue_and_key_is_no_right_at_another(guard: Guard) -> None:
    before = await guard.desk.everything()
    assert await guard.fire(place="live fapi.binance.com key 4567") is Verdict.NOT_ARMED
    assert await guard.desk.everything() == before


async def test_a_log_that_has_lost_its_tail_gives_no_right(guard: Guard) -> None:
    assert await guard.fire() is Verdict.OK
    await guard.desk.do("HSET", guard.desk.keys.log, "written", "0")
    assert await guard.fire(msgspec.structs.replace(BREACH, number=2)) is Verdict.LOG_LOST


async def test_there_are_three_tries_in_an_episode_and_each_is_made_once(guard: Guard) -> None:
    for number in range(1, TRIES + 1):
        one = msgspec.structs.replace(BREACH, number=number)
        assert await guard.fire(one) is Verdict.OK
        assert await guard.fire(one) is (Verdict.STALE_ATTEMPT if number < TRIES else Verdict.SPENT)
    assert await guard.fire(msgspec.structs.replace(BREACH, number=TRIES + 1)) is Verdict.SPENT
    assert await guard.said() == TRIES
    # Another rule, another side and another episode have tries of their own.
    assert await guard.fire(msgspec.structs.replace(BREACH, rule=Rule.AGE)) is Verdict.OK
    assert await guard.fire(msgspec.structs.replace(BREACH, episode="e2")) is Verdict.OK


async def test_the_gate_lets_that_close_pass(guard: Guard) -> None:
    assert await guard.fire() is Verdict.OK
    assert await guard.gate(guard.chain()) is Verdict.OK


@pytest.mark.parametrize("change", ["unfreeze", "freeze_anew", "disarm", "expire"])
async def test_the_gate_asks_for_freeze_and_arming_again(guard: Guard, change: str) -> None:
    assert await guard.fire() is Verdict.OK
    await getattr(guard, change)()
    before = await guard.desk.everything()
    chain = guard.chain()
    assert await guard.gate(chain) is Verdict.NOT_AUTHORISED
    assert await guard.desk.everything() == before


async def test_the_gate_lets_no_other_plan_pass(guard: Guard) -> None:
    assert await guard.fire() is Verdict.OK
    assert await guard.gate(guard.chain("another")) is Verdict.NOT_AUTHORISED


async def test_without_its_record_the_controller_passes_no_gate(guard: Guard) -> None:
    """Neither under freeze nor by a grant that somebody wrote for it."""
    assert await guard.gate(guard.chain()) is Verdict.FROZEN
    await guard.unfreeze()
    await guard.desk.do("HSET", guard.desk.keys.grant, "component", SAFETY)
    assert await guard.gate(guard.chain()) is Verdict.NOT_AUTHORISED


async def test_the_right_ends_with_the_reign_that_it_was_given_in(guard: Guard) -> None:
    """A process that starts again sends nothing on it (I8)."""
    assert await guard.fire() is Verdict.OK
    desk = guard.desk
    await lease.drop(desk.wire, desk.keys, desk.lease)
    again = await lease.take(desk.wire, desk.keys, "guard", 60_000, component=SAFETY)
    assert again is not None
    desk.lease = again
    assert await guard.gate(guard.chain()) is Verdict.NOT_AUTHORISED


async def test_an_executor_with_the_grant_makes_no_attempt_of_a_safety_close(guard: Guard) -> None:
    assert await guard.fire() is Verdict.OK
    await guard.desk.do("HSET", guard.desk.keys.grant, "component", COMPONENT)
    assert await guard.gate(guard.chain(), COMPONENT) is Verdict.NOT_AUTHORISED
    await guard.unfreeze()
    assert await guard.gate(guard.chain(), COMPONENT) is Verdict.NOT_AUTHORISED


async def test_what_it_cancels_stands_behind_the_same_door(guard: Guard) -> None:
    async def permitted() -> Verdict:
        chain = guard.chain()
        chain.unwritten.append(Clearing(why=Why.BLOCKING, orders=()))
        return await guard.desk.journal.permit(
            chain, guard.desk.lease, component=SAFETY, warranted_intent=INTENT
        )

    assert await permitted() is Verdict.FROZEN
    assert await guard.fire() is Verdict.OK
    assert await permitted() is Verdict.OK


async def test_an_arming_is_written_only_while_nobody_leads_and_the_freeze_stands(guard: Guard) -> None:
    desk, seen = guard.desk, await guard.book.arming()
    assert seen is not None
    wanted = msgspec.structs.replace(seen, revision=2, actor="bob")
    before = await desk.everything()
    assert await guard.book.arm(seen, wanted, EVENT) == "HELD"
    assert await desk.everything() == before
    await lease.drop(desk.wire, desk.keys, desk.lease)
    assert await guard.book.arm(None, wanted, EVENT) == "MOVED"
    await guard.freeze_anew()
    assert await guard.book.arm(seen, wanted, EVENT) == "NOT_FROZEN"
    await desk.do("HSET", desk.keys.freeze, "at", FROZEN_AT)
    assert await guard.book.arm(seen, wanted, EVENT) == "OK"
    assert await guard.book.arming() == wanted
    assert await guard.said() == 1


async def test_an_arming_ends_once_and_stays_to_be_seen(guard: Guard) -> None:
    assert await guard.book.end(Armed.EXPIRED, 7, "safety", EVENT)
    assert not await guard.book.end(Armed.DISARMED, 8, "ann", EVENT)
    ended = await guard.book.arming()
    assert ended is not None
    assert (ended.state, ended.actor, ended.ended_by, ended.ended_at) == (Armed.EXPIRED, "ann", "safety", 7)
    assert await guard.said() == 1


async def test_an_intent_of_another_amount_has_no_right_by_its_name(guard: Guard) -> None:
    """A decision whose plan does not follow from its content has no warranted intent, and so no right either."""
    assert await guard.fire() is Verdict.OK
    half = msgspec.structs.replace(
        decision_of("paper:main", BREACH, EntryRef("s", "1-0"), 1, Mode.PAPER), fraction=Decimal("0.5")
    )
    chain = Chain(half.plan_id)
    chain.unwritten.append(Admitted(decision=half, entry=EntryRef("s", "1-0")))
    passage = await guard.desk.journal.gate(
        chain, guard.desk.lease, component=SAFETY, warranted_intent="", intent_id=INTENT, sending=sending(1)
    )
    assert passage.verdict is Verdict.FROZEN


async def test_of_the_news_of_its_health_the_newest_stay_and_what_others_said_stays_for_good(
    guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Incident 85: one event a minute for thirty days would fill the log."""
    monkeypatch.setattr("sureclose.journal.safety.NEWS_KEPT", 3)
    await guard.desk.do("XADD", guard.events, "*", "event", "GRANTED")
    for number in range(5):
        await guard.book.say({"event": "BASELINE_SAFETY_HEALTH", "number": str(number)})
    entries = await guard.desk.do("XRANGE", guard.events, "-", "+")
    assert [flat[-1] for _, flat in entries] == [b"GRANTED", b"2", b"3", b"4"]
