"""One audit in a real log, with its file and the close that it rests on, to be tampered with."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import msgspec

from sureclose.domain.facts import AnyFact, Ended
from sureclose.domain.words import Mode
from sureclose.journal import audits
from sureclose.journal.chain import Chain
from sureclose.journal.checking.audited import Evidence, Period, Verdict, Versions
from sureclose.journal.checking.questions import judge
from sureclose.operate.auditing import missing_for
from sureclose.operate.session import Session
from sureclose.services.settings import (
    AuthoritySettings,
    ExecutionSettings,
    HarvestBrainSettings,
    StreamSettings,
)
from sureclose.streams.connection import Log
from tests.journal.audit_cases import COMPONENT, MINIMUM, caused, material
from tests.journal.journals import Desk
from tests.journal.verify_cases import Ledger, driven, stored

PLAN: Final = "plan"
AT: Final = 1_700_000_100_000
"""When it was made, by the log's clock."""
BEGAN_AT: Final = AT - 500
NOW: Final = AT + 60_000


class Audit:
    """One audit of one close that passed: in the log, in its file, and in the journal."""

    def __init__(self, desk: Desk, log: Log, folder: Path) -> None:
        self.desk = desk
        self.folder = folder
        self.now = NOW
        unused = cast("Any", None)
        self.session = Session(
            log=log,
            host=unused,
            streams=StreamSettings(prefix=desk.prefix),
            execution=ExecutionSettings(),
            harvest_brain=HarvestBrainSettings(),
            authority=AuthoritySettings(),
            keeping=unused,
            http=unused,
            http_port_is_default=True,
            hooks={},
            alerts=unused,
            venue_settings=cast("Any", SimpleNamespace(environment=Mode.PAPER)),
            credentials=unused,
            venue=unused,
            keys=desk.keys,
            wiring=unused,
            folder=folder,
            fence=unused,
            mode_source="",
            clock=cast("Any", SimpleNamespace(now=lambda: self.now)),
            monotonic=lambda: 0.0,
        )
        self.id = ""

    async def make(self, **more: Any) -> None:
        history = driven()
        facts: list[AnyFact] = caused(history.journal.facts)
        ended = facts[-1]
        assert isinstance(ended, Ended)
        chain = Chain(PLAN)
        chain.unwritten += facts[:-1]
        await self.desk.journal.append(chain, self.desk.lease)
        await self.desk.publish(chain, ended)
        await self.keep(evidence_of(facts, Ledger.of(history.world), chain.head.hash, **more))

    async def keep(self, evidence: Evidence) -> None:
        content = audits.encode(evidence)
        record = audits.record_of(evidence, content)
        audits.keep(self.folder, record.id, content)
        await audits.record(self.desk.wire, self.desk.keys, record)
        self.id = record.id

    @property
    def file(self) -> Path:
        return audits.evidence_file(self.folder, self.id)

    async def missing(
        self, audit_id: str = "", component: str = COMPONENT, after: int | None = None
    ) -> list[str]:
        return await missing_for(self.session, audit_id or self.id, component, after=after)

    async def put(self, **more: Any) -> None:
        """Fields of the log's record otherwise."""
        found = await audits.recorded(self.desk.wire, self.desk.keys, self.id)
        assert found is not None
        forged = msgspec.structs.replace(found, **more)
        await self.desk.do("HSET", self.desk.keys.audits, self.id, msgspec.json.encode(forged))


def evidence_of(facts: list[AnyFact], ledger: Ledger, head: str, **more: Any) -> Evidence:
    found = material(stored(facts), books=ledger.read())
    questions = judge(found)
    assert all(question.verdict is Verdict.PASSES for question in questions)
    whole: dict[str, Any] = {
        "account": "paper:main",
        "environment": "paper",
        "component": COMPONENT,
        "at": AT,
        "began_at": BEGAN_AT,
        "period": Period(since=AT - 86_400_000, until=AT),
        "passed": True,
        "newest_evidence_at": AT - 1_000,
        "minimum": MINIMUM,
        "questions": questions,
        "plans": found.plans,
        "idle": 0,
        "orders": found.orders,
        "unjoined": (),
        "foreign": (),
        "reigns": found.reigns,
        "probe": None,
        "positions": (),
        "unread": (),
        "versions": Versions(sureclose="0", python="3", log="valkey"),
        "heads": {PLAN: head},
    }
    return Evidence(**(whole | more))
