"""The gate of a dry run: it opens for nobody, and says what the account's own would say."""

import pytest

from sureclose.domain.words import PositionSide
from sureclose.journal.chain import Chain
from sureclose.journal.fence import Fence
from sureclose.journal.keys import Keys
from sureclose.journal.rehearsal import RehearsalJournal
from sureclose.journal.verdict import Verdict
from sureclose.streams.connection import Log
from tests.journal.journals import COMPONENT, NOW, Desk, admitted, sending


@pytest.fixture
async def real(log: Log, log_prefix: str) -> Desk:
    return await Desk(log, log_prefix).open()


@pytest.mark.parametrize(
    ("standing", "said"),
    [
        ("granted", ""),
        ("frozen", "frozen"),
        ("nobody", "not_authorised"),
        ("warranted", ""),
        ("another's warrant", "frozen"),
    ],
)
async def test_nothing_passes_and_the_real_gate_s_word_is_told(real: Desk, standing: str, said: str) -> None:
    if standing in {"frozen", "warranted", "another's warrant"}:
        await real.do("HSET", real.keys.freeze, "reason", "a test")
    if standing == "nobody":
        await real.do("DEL", real.keys.grant)
    if "warrant" in standing:
        await real.do("SET", real.keys.warrant("intent-plan"), "plan" if standing == "warranted" else "other")
    before = await real.everything()
    own = Keys(f"{real.prefix}dry-run:", "paper:main")
    journal = RehearsalJournal(real.wire, own, lambda: NOW, Fence(), real.keys)
    chain = Chain("plan")
    chain.unwritten.append(admitted())
    passage = await journal.gate(
        chain,
        real.lease,
        component=COMPONENT,
        warranted_intent="intent-plan",
        intent_id="intent-plan",
        sending=sending(1),
    )
    assert passage.verdict is Verdict.DRY_RUN
    assert passage.rehearsed is not None
    assert passage.rehearsed.gate == said
    assert passage.rehearsed.position.position_side is PositionSide.BOTH
    permitted = await journal.permit(chain, real.lease, component=COMPONENT, warranted_intent="intent-plan")
    assert permitted is Verdict.DRY_RUN
    assert await real.everything() == before, "it reads the account and writes nothing of it"
