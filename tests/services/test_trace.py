"""What `trace` finds of a wish by whichever name it is asked for, where no executor has heard of it or long ago."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sureclose.domain.words import Mode
from sureclose.journal.archive import Archive, Keeping
from sureclose.journal.chain import Chain
from sureclose.journal.fence import Fence
from sureclose.journal.refusals import Refusal, record_refusal
from sureclose.operate.session import Session
from sureclose.operate.trace import RECEIVED, REFUSED, Told, trace
from sureclose.services import identity
from sureclose.services.archiver import Archiver
from sureclose.services.reading import Wiring
from sureclose.services.settings import StreamSettings
from sureclose.streams.codec import CodecRules
from sureclose.streams.connection import Log
from tests.journal.journals import NOW, Desk, admitted, ended


class Asked:
    """A log, and what is asked of it."""

    def __init__(self, desk: Desk, log: Log, folder: Path) -> None:
        self.desk = desk
        streams = StreamSettings(prefix=desk.prefix)
        parts: dict[str, Any] = dict.fromkeys(Session.__struct_fields__, cast("Any", None))
        parts |= {
            "log": log,
            "streams": streams,
            "keys": desk.keys,
            "wiring": Wiring(streams, CodecRules(Mode.PAPER), identity.producer("test")),
            "folder": folder,
            "fence": Fence(),
            "clock": SimpleNamespace(now=lambda: NOW),
        }
        self.session = Session(**parts)

    async def say(self, stream: str, **fields: str) -> str:
        flat = (part for pair in fields.items() for part in pair)
        entry_id = await self.desk.do("XADD", f"{self.desk.prefix}{stream}", "*", *flat)
        return str(entry_id.decode())

    async def refuse(self, **more: Any) -> None:
        known: dict[str, Any] = {"where": "http", "reason": "expired", "at": NOW}
        refusal = Refusal(**(known | more))
        await record_refusal(self.desk.wire, self.desk.keys, refusal)

    async def tell(self, wanted: str) -> Told:
        found = await trace(self.session, wanted)
        assert found is not None
        return found


@pytest.fixture
async def asked(log: Log, log_prefix: str, tmp_path: Path) -> Asked:
    return Asked(await Desk(log, log_prefix).open(), log, tmp_path)


async def test_what_nobody_has_heard_of_is_not_found(asked: Asked) -> None:
    await asked.refuse(intent_id="another")
    assert await trace(asked.session, "wish") is None
    assert await trace(asked.session, "1-0") is None


async def test_what_a_door_refused_is_told_by_the_intents_name(asked: Asked) -> None:
    await asked.refuse(intent_id="wish", threshold="ahead", seen="5 s ago", remedy="ask anew", actor="ann")
    found = await asked.tell("wish")
    assert found.trace.state == REFUSED
    (said,) = found.as_json()["refused"]
    told = {"where": "http", "reason": "expired", "threshold": "ahead", "seen": "5 s ago", "actor": "ann"}
    assert said.items() >= (told | {"remedy": "ask anew", "intent_id": "wish"}).items()


async def test_one_entry_that_both_paths_refused_is_told_once_and_two_wishes_twice(asked: Asked) -> None:
    for where, entry in (("execution", "5-0"), ("harvest-brain", "5-0"), ("execution", "6-0")):
        await asked.refuse(where=where, intent_id="wish", stream="apply.result", entry_id=entry)
    assert [said.entry_id for said in (await asked.tell("wish")).refused] == ["5-0", "6-0"]


async def test_an_entry_of_which_nothing_came_yet_is_received(asked: Asked) -> None:
    entry = await asked.say("harvest.intent", intent_id="wish", symbol="ETHUSDT", action="CLOSE")
    found = await asked.tell(entry)
    assert (found.trace.state, found.trace.intent_id, found.refused) == (RECEIVED, "wish", ())
    await asked.refuse(intent_id="wish", entry_id=entry)
    assert (await asked.tell(entry)).trace.state == REFUSED


async def test_a_name_that_only_stands_in_another_field_is_no_name(asked: Asked) -> None:
    await asked.say("apply.plan", plan_id="plan", intent_id="another", reason="like wish")
    assert await trace(asked.session, "wish") is None


async def test_an_intent_is_found_by_its_plans_in_the_journal_and_in_the_segments(
    asked: Asked, tmp_path: Path
) -> None:
    desk = asked.desk
    chain = Chain("plan")
    chain.unwritten.append(admitted("plan"))
    await desk.publish(chain, ended())
    assert (await asked.tell("intent-plan")).trace.plan_id == "plan"
    keeping = Keeping(closes=0, ms=0, segment=100)
    archive = Archive(
        desk.wire, desk.keys, lambda: NOW, keeping, host=identity.host(), folder=asked.session.segments
    )
    assert await Archiver(archive, desk.keys.account, lambda: desk.lease).round(desk.lease)
    assert await desk.do("XLEN", desk.keys.journal) == 0
    found = await asked.tell("intent-plan")
    assert (found.trace.plan_id, found.trace.state, found.others) == ("plan", "DONE", ())
    assert await trace(asked.session, "intent-of-nobody") is None
