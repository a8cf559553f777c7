"""How far a close is, as every door tells it: never more than the log says."""

from decimal import Decimal
from types import SimpleNamespace
from typing import Any, Final, cast

import msgspec
import pytest

from sureclose.domain.close_state import CloseState
from sureclose.domain.facts import Ended
from sureclose.domain.outcome import Outcome, OutcomeKind
from sureclose.domain.words import Mode
from sureclose.journal.chain import Chain
from sureclose.journal.fence import Fence
from sureclose.journal.refusals import Refusal, record_refusal
from sureclose.journal.store import Journal
from sureclose.operate.asking import CloseRequest, Conflict, Refused, ask_to_close
from sureclose.operate.closes import CloseView, look, look_at
from sureclose.operate.following import follow, follower
from sureclose.operate.newest import MOST, NewestPlans
from sureclose.operate.session import Session
from sureclose.services.identity import producer
from sureclose.services.reading import Wiring
from sureclose.services.settings import StreamSettings
from sureclose.streams.codec import CodecRules
from sureclose.streams.connection import Log
from sureclose.streams.wire import Wire
from sureclose.venue.clock import wall_ms
from tests.journal.journals import Desk, admitted, ended, sending


class Door:
    """A door on a real log, without a venue."""

    def __init__(self, desk: Desk, log: Log) -> None:
        self.desk = desk
        streams = StreamSettings(prefix=desk.prefix)
        unused = cast("Any", None)
        parts: dict[str, Any] = dict.fromkeys(Session.__struct_fields__, unused)
        parts |= {
            "log": log,
            "streams": streams,
            "keys": desk.keys,
            "wiring": Wiring(streams, CodecRules(Mode.PAPER), producer("test")),
            "venue_settings": SimpleNamespace(environment=Mode.PAPER),
            "fence": Fence(),
            "clock": SimpleNamespace(now=wall_ms),
            "newest_plans": NewestPlans(),
        }
        self.session = Session(**parts)

    async def ask(self, intent_id: str = "i", **more: Any) -> Any:
        request = CloseRequest(
            intent_id=intent_id, symbol="ethusdt", actor="ann", door="test", person=False, reason="a test"
        )
        return await ask_to_close(self.session, msgspec.structs.replace(request, **more))

    async def look(self, wanted: str = "i") -> CloseView:
        found = await look(self.session, wanted)
        assert found is not None
        return found

    async def say(self, stream: str, /, **fields: str) -> None:
        await self.desk.do(
            "XADD", f"{self.desk.prefix}{stream}", "*", *(p for pair in fields.items() for p in pair)
        )


_FILL: Final = """for number = 1, ARGV[1] do
  redis.call('XADD', KEYS[1], '*', 'plan_id', 'p' .. number, 'intent_id', 'n' .. number)
end"""


class Counting:
    """Counts the entries that are read through it."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.entries = 0

    async def execute_command(self, *args: bytes | str | int) -> Any:
        reply = await self._wire.execute_command(*args)
        self.entries += len(reply)
        return reply


@pytest.fixture
async def door(log: Log, log_prefix: str) -> Door:
    return Door(await Desk(log, log_prefix).open(), log)


async def test_what_nobody_asked_for_is_not_known(door: Door) -> None:
    assert await look(door.session, "i") is None


async def test_a_wish_of_no_door_is_found_by_its_plan_among_the_newest(door: Door) -> None:
    for number in range(3):
        await door.say("apply.plan", intent_id="old", plan_id=f"p{number}", symbol="ETHUSDT")
        assert (await door.look("old")).plan_id == f"p{number}"
    assert (await door.look("p1")).plan_id == "p1"
    await door.desk.do("EVAL", _FILL, 1, f"{door.desk.prefix}apply.plan", MOST)
    assert (await door.look("n7")).plan_id == "p7"
    await door.say("apply.plan", plan_id="last")
    assert (await door.look("last")).state is CloseState.RECEIVED
    assert await look(door.session, "n0") is None
    assert await look(door.session, "source") is None


async def test_to_ask_for_what_nobody_knows_reads_no_plan_twice(door: Door) -> None:
    await door.desk.do("EVAL", _FILL, 1, f"{door.desk.prefix}apply.plan", MOST)
    assert await look(door.session, "nobody") is None
    wire = Counting(door.desk.wire)
    stream = f"{door.desk.prefix}apply.plan"
    assert await door.session.newest_plans.find(wire, stream, "nobody") is None
    assert wire.entries == 0


async def test_a_wish_is_received_and_then_what_its_decision_says(door: Door) -> None:
    asked = await door.ask()
    view = await door.look()
    assert (view.state, view.final, view.symbol) == (CloseState.RECEIVED, False, "ETHUSDT")
    await door.say("apply.result", plan_id=asked.plan_id, decision="CLOSE", approved="True")
    assert (await door.look()).state is CloseState.APPROVED


async def test_a_veto_is_told_with_its_threshold_and_what_was_seen(door: Door) -> None:
    asked = await door.ask()
    veto = '{"rule":"expired","threshold":"max_age 5 ms","seen":"age 9 ms"}'
    await door.say("apply.result", plan_id=asked.plan_id, decision="SKIP", approved="False", veto=veto)
    view = await door.look()
    assert (view.state, view.final) == (CloseState.SKIPPED, True)
    assert (view.reason, view.threshold, view.seen) == ("expired", "max_age 5 ms", "age 9 ms")


async def test_a_dead_letter_or_a_refusal_of_a_stage_refuses_it(door: Door) -> None:
    asked = await door.ask()
    letter = {"id": asked.entry_id, "reason": "absurd", "remedy": "write it right"}
    await door.say("dead.letter", stream=f"{door.desk.prefix}apply.plan", **letter)
    assert (await door.look()).state is CloseState.RECEIVED, "an entry of another stream has its id by chance"
    await door.say("dead.letter", stream=f"{door.desk.prefix}harvest.intent", **letter)
    view = await door.look()
    assert (view.state, view.reason, view.remedy) == (CloseState.REFUSED, "absurd", "write it right")
    other = await door.ask("j")
    await record_refusal(
        door.desk.wire,
        door.desk.keys,
        Refusal(where="apply-layer", reason="other_mode", at=wall_ms() + 1, plan_id=other.plan_id),
    )
    assert ((await door.look("j")).state, (await door.look("j")).reason) == (CloseState.REFUSED, "other_mode")


async def test_the_journal_has_the_last_word(door: Door) -> None:
    asked = await door.ask()
    chain = Chain(asked.plan_id)
    chain.unwritten.append(admitted(asked.plan_id))
    await door.desk.journal.append(chain, door.desk.lease)
    assert (await door.look()).state is CloseState.APPROVED
    chain.unwritten.append(sending(1))
    await door.desk.journal.append(chain, door.desk.lease)
    view = await door.look()
    assert (view.state, view.client_order_ids) == (CloseState.SENT, ("sc-1",))
    await door.desk.publish(chain, ended())
    view = await door.look(asked.plan_id)
    assert (view.state, view.final, view.outcome) == (CloseState.FLAT, True, "FLAT")
    assert view.evidence == chain.head.hash


async def test_a_wish_that_came_through_no_door_is_found_by_its_plan(door: Door) -> None:
    await door.say("apply.plan", plan_id="p", intent_id="from-a-stream", symbol="BTCUSDT", action="CLOSE")
    view = await door.look("from-a-stream")
    assert (view.plan_id, view.state, view.symbol) == ("p", CloseState.RECEIVED, "BTCUSDT")


async def test_a_skipped_close_that_a_person_asks_for_begins_once_more(door: Door) -> None:
    asked = await door.ask()
    chain = Chain(asked.plan_id)
    chain.unwritten.append(admitted(asked.plan_id))
    await door.desk.publish(chain, ended(OutcomeKind.SKIPPED))
    assert (await door.look()).state is CloseState.SKIPPED
    await door.ask(person=True)
    assert (await door.look()).state is CloseState.RECEIVED


async def test_a_wish_in_other_words_is_told_as_the_close_that_was_sent(door: Door) -> None:
    """Through a door it was half; from a stream came another plan of the same intent, and that one passed the gate."""
    door.desk.journal = Journal(door.desk.wire, door.desk.keys, wall_ms)
    asked = await door.ask(fraction=Decimal("0.5"))
    sent, skipped = Chain("sent"), Chain(asked.plan_id)
    assert await door.desk.gate(sent, before=[admitted("sent")], intent_id="i", symbol="ETHUSDT")
    skipped.unwritten.append(admitted(asked.plan_id))
    await door.desk.journal.append(skipped, door.desk.lease)
    assert (await door.look()).state is CloseState.APPROVED, "its own plan may still be the one"
    await door.desk.publish(skipped, ended(OutcomeKind.SKIPPED))
    view = await door.look()
    assert (view.id, view.plan_id, view.state, view.final) == ("i", "sent", CloseState.SENT, False)
    assert (view.fraction, view.requested_at) == ("0.5", asked.record.at)
    assert (await door.look(asked.plan_id)).state is CloseState.SKIPPED
    await door.desk.publish(sent, ended(OutcomeKind.REDUCED))
    assert (await door.look()).state is CloseState.REDUCED


async def test_whoever_follows_is_told_each_change_until_the_end(door: Door) -> None:
    async with follower(door.session) as found:
        asked = await door.ask()
        chain, states = Chain(asked.plan_id), []
        async for view in follow(door.session, found, asked):
            states.append(view.state)
            if view.state is CloseState.RECEIVED:
                chain.unwritten.append(admitted(asked.plan_id))
                await door.desk.journal.append(chain, door.desk.lease)
            elif not view.final:
                await door.desk.publish(chain, ended())
        assert states == [CloseState.RECEIVED, CloseState.APPROVED, CloseState.FLAT]
        assert found.size == 0


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"expires_at": 1}, "expired"),
        ({"fraction": Decimal(25)}, "absurd"),
        ({"fraction": Decimal(0)}, "absurd"),
        ({"fraction": Decimal("NaN")}, "absurd"),
        ({"quantity": Decimal(-1)}, "absurd"),
        ({"quantity": Decimal("1e999999")}, "absurd"),
        ({"quantity": Decimal("1e-999999")}, "absurd"),
        ({"symbol": "ETH USDT"}, "absurd"),
        ({"symbol": ""}, "absurd"),
        ({"intent_id": ""}, "absurd"),
        ({"intent_id": "a\nb"}, "absurd"),
        ({"expires_at": wall_ms() + 10**9}, "absurd"),
        ({"action": "HOLD"}, "hold"),
        ({"action": "EXPLODE"}, "absurd"),
    ],
)
async def test_what_nobody_could_execute_is_refused_with_a_remedy_and_leaves_nothing(
    door: Door, more: dict[str, Any], reason: str
) -> None:
    before = await door.desk.everything()
    with pytest.raises(Refused) as refused:
        await door.ask(**more)
    assert refused.value.reason == reason
    assert refused.value.remedy
    assert await door.desk.everything() == before


async def test_another_wish_under_the_same_id_is_a_conflict_that_names_the_first(door: Door) -> None:
    await door.ask()
    with pytest.raises(Conflict, match="CLOSE of ETHUSDT"):
        await door.ask(fraction=Decimal("0.5"))


async def test_by_its_plan_a_close_is_told_under_the_name_it_was_asked_for_with(door: Door) -> None:
    asked = await door.ask("admitted", person=True)
    chain = Chain(asked.plan_id)
    facts = admitted(asked.plan_id)
    named = msgspec.structs.replace(facts.decision, intent_id="admitted")
    chain.unwritten.append(msgspec.structs.replace(facts, decision=named))
    await door.desk.journal.append(chain, door.desk.lease)
    found = await look_at(door.session, asked.plan_id)
    assert found is not None
    assert (found.id, found.plan_id, found.warranted) == ("admitted", asked.plan_id, True)
    assert await look_at(door.session, "nobody's") is None


async def test_an_outcome_that_a_person_can_do_something_about_says_what(door: Door) -> None:
    asked = await door.ask()
    chain = Chain(asked.plan_id)
    chain.unwritten.append(admitted(asked.plan_id))
    frozen = Ended(outcome=Outcome(OutcomeKind.SKIPPED, "frozen"))
    await door.desk.publish(chain, frozen)
    assert "authority show" in (await door.look()).remedy
