"""A log that lacks what it acknowledged is not written to, whoever holds its lease."""

from collections.abc import Awaitable, Callable

import pytest

from sureclose.domain.outcome import OutcomeKind
from sureclose.journal import lease
from sureclose.journal.chain import Chain
from sureclose.journal.fence import Fence, read_lineage
from sureclose.journal.reconciliation import Reconciliation, join, last_found
from sureclose.journal.store import Journal
from sureclose.journal.verdict import Fenced, Verdict
from tests.domain.test_rebuilding import order
from tests.journal.journals import NOW, Desk, admitted, ended

SCRIPTS = ("append", "gate", "permit", "publish", "resolve", "adopt")
ID, OTHER = "a" * 32, "b" * 32


@pytest.fixture
def fence(desk: Desk) -> Fence:
    """What the process of the desk knows of the log."""
    known = Fence()
    desk.journal = Journal(desk.wire, desk.keys, lambda: NOW, known)
    return known


async def called(desk: Desk, script: str) -> str:
    """The word of a script that would have something to write."""
    chain = Chain("new")
    chain.unwritten.append(admitted("new"))

    async def publish() -> None:
        await desk.publish(chain)

    async def resolve() -> None:
        parked = await desk.journal.load("plan")
        assert parked is not None
        await desk.resolve("plan", parked.head)

    async def append() -> None:
        await desk.journal.append(chain, desk.lease)

    calls: dict[str, Callable[[], Awaitable[Verdict | None]]] = {
        "append": append,
        "gate": lambda: desk.gate(chain),
        "permit": lambda: desk.permit(chain),
        "publish": publish,
        "resolve": resolve,
        "adopt": lambda: desk.adopt(chain, 1),
    }
    try:
        return (await calls[script]()) or Verdict.OK
    except Fenced as fenced:
        return fenced.verdict


@pytest.mark.parametrize("loss", ["fewer", "none", "another"])
@pytest.mark.parametrize("script", SCRIPTS)
async def test_no_script_writes_to_a_log_that_is_not_the_one_that_was(
    desk: Desk, fence: Fence, script: str, loss: str
) -> None:
    await desk.do("HSET", desk.keys.log, "id", ID)
    fence.adopt(ID, 0)
    await desk.publish(await desk.admit(), ended(OutcomeKind.PARKED))
    assert fence.memory.written == 2
    match loss:
        case "fewer":
            await desk.do("HSET", desk.keys.log, "written", 1)
        case "none":
            await desk.do("DEL", desk.keys.log)
        case "another":
            await desk.do("HSET", desk.keys.log, "id", OTHER, "written", 1000)
    before = await desk.everything()
    assert await called(desk, script) == Verdict.LOG_LOST
    assert await desk.everything() == before
    fence.adopt("", 0)
    assert await called(desk, script) == Verdict.OK, "it was the loss, and nothing else"


async def test_an_answer_that_did_not_come_is_not_known_and_is_no_loss(desk: Desk, fence: Fence) -> None:
    await desk.admit()
    fence.adopt("", 0)
    assert await called(desk, "gate") == Verdict.OK
    assert fence.memory.written == 2


async def test_the_epoch_goes_on_above_what_was_given_out(desk: Desk) -> None:
    await desk.do("DEL", desk.keys.lease, desk.keys.epoch)
    taken = await lease.take(desk.wire, desk.keys, "one", above=41)
    assert taken is not None
    assert taken.epoch == 42
    again = await lease.take(desk.wire, desk.keys, "one", above=7)
    assert again is not None
    assert again.epoch == 43


async def test_an_id_that_was_used_passes_no_gate(desk: Desk) -> None:
    lost = order("1")
    await desk.do("HSET", desk.keys.orphans, "sc-plan-1", "{}")
    chain = await desk.admit()
    before = await desk.everything()
    assert await desk.gate(chain) is Verdict.USED
    assert await desk.everything() == before
    assert await desk.adopt(chain, 1) is Verdict.OK
    assert await desk.journal.plan_of("sc-plan-1") == "plan"
    assert await desk.journal.orphans() == {}
    assert await desk.gate(chain, 2) is Verdict.OK
    assert lost.client_order_id != "sc-plan-1"


async def test_what_a_reconciliation_found_stands_in_the_log(desk: Desk) -> None:
    await desk.do("HSET", desk.keys.log, "id", ID, "written", 5)
    lost = order("1")
    found = Reconciliation(
        trigger="test",
        worker="one",
        epoch=desk.lease.epoch,
        detected_at=1,
        at=2,
        since=0,
        symbols=("BTCUSDT",),
        orders=3,
        orphans=(lost.client_order_id,),
    )

    async def joined() -> int:
        return await join(
            desk.wire,
            desk.keys,
            desk.lease,
            identity=OTHER,
            before=[ID],
            run_id="run",
            found=found,
            orphans=[lost],
            events=f"{desk.prefix}authority.events",
            event={"event": "LOG_RECONCILED"},
        )

    assert await joined() == 6
    lineage = await read_lineage(desk.wire, desk.keys)
    assert (lineage.id, lineage.before, lineage.written, lineage.run_id) == (OTHER, (ID,), 6, "run")
    assert await desk.journal.orphans() == {lost.client_order_id: lost}
    assert await last_found(desk.wire, desk.keys) == found
    await desk.do("DEL", desk.keys.lease)
    with pytest.raises(Fenced, match="STALE_LEASE"):
        await joined()
