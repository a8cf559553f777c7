"""What a stage can't finish goes to the dead letter, whole, and blocks nobody."""

from collections.abc import AsyncIterator, Callable

import pytest
from structlog.testing import capture_logs

from sureclose.streams.clock import Moment
from sureclose.streams.connection import Log, LogSettings
from sureclose.streams.deadletter import original_of
from sureclose.streams.entry import Entry
from sureclose.streams.gone import claim
from sureclose.streams.groups import ensure_group
from sureclose.streams.publish import Event
from sureclose.streams.stage import Kind
from sureclose.streams.verdict import Drop, Emit, StageVerdict
from tests.streams.copying import GROUP, Outcomes, pending, running, stage
from tests.streams.raw import add, contents, deliver, raw


@pytest.fixture
async def quick(log_url: str) -> AsyncIterator[Log]:
    """A log whose reads block so briefly that stopping takes no time."""
    async with Log(LogSettings(url=log_url, block_ms=50)) as log:
        yield log


@pytest.fixture
def outcomes() -> Outcomes:
    return Outcomes()


def by_n(verdicts: dict[bytes, Callable[[Entry], StageVerdict]]) -> Callable[[Entry, Moment], StageVerdict]:
    return lambda entry, at: verdicts[entry.fields[b"n"]](entry)


def fail(entry: Entry) -> StageVerdict:
    raise KeyError("no such thing")


@pytest.mark.parametrize(
    ("bug", "reason"),
    [
        (fail, b"stage_failed: KeyError: 'no such thing'"),
        (
            lambda entry: Emit((Event("out", {}),), "x"),
            b"stage_failed: ValueError: an event for out has no fields",
        ),
        (lambda entry: None, b"stage_failed: AssertionError"),
    ],
)
async def test_incident_09_a_poison_entry_goes_to_the_dead_letter_and_blocks_nobody(
    quick: Log, log_prefix: str, outcomes: Outcomes, bug: Callable[[Entry], StageVerdict], reason: bytes
) -> None:
    poison = await add(quick, f"{log_prefix}in", {"n": "poison", "b": b"\xff\x00"})
    await add(quick, f"{log_prefix}in", {"n": "good"})
    decide = by_n({b"poison": bug, b"good": lambda entry: Drop("fine")})
    with capture_logs() as logs:
        async with running(stage(quick, log_prefix, outcomes, decide)):
            await outcomes.reach(2)
    (letter,) = await contents(quick, f"{log_prefix}dead")
    assert letter[b"reason"].startswith(reason)
    assert letter[b"remedy"]
    assert (letter[b"stream"], letter[b"id"]) == (f"{log_prefix}in".encode(), poison.encode())
    assert original_of(letter[b"entry"].decode()) == ((b"n", b"poison"), (b"b", b"\xff\x00"))
    assert [entry["entry"] for entry in logs if entry["event"] == "stage.failed"] == [
        f"{log_prefix}in@{poison}"
    ]
    assert await pending(quick, log_prefix) == 0


async def test_an_entry_of_very_many_fields_still_fits_its_dead_letter(
    quick: Log, log_prefix: str, outcomes: Outcomes
) -> None:
    fields: dict[str, str | bytes] = {f"{n}": "v" for n in range(5000)}
    await add(quick, f"{log_prefix}in", fields)
    async with running(stage(quick, log_prefix, outcomes, lambda entry, at: fail(entry))):
        await outcomes.reach(1)
    (letter,) = await contents(quick, f"{log_prefix}dead")
    assert len(original_of(letter[b"entry"].decode())) == 5000


async def test_a_trimmed_pending_entry_is_reported_and_never_decided(
    quick: Log, log_prefix: str, outcomes: Outcomes
) -> None:
    """One under our own name, and one under a dead consumer's, which the claim takes off the pending list."""
    name = f"{log_prefix}in"
    await ensure_group(quick.commands(), name, GROUP)
    for consumer in ("copier-1", "dead-1"):
        entry_id = await add(quick, name, {"n": "1"})
        await deliver(quick, name, GROUP, consumer)
        await raw(quick, "XDEL", name, entry_id)
    async with running(stage(quick, log_prefix, outcomes, lambda entry, at: Drop("never said"))):
        await outcomes.reach(2)
    assert outcomes == {("from in", Kind.DEAD, "payload_lost"): 2}
    letters = await contents(quick, f"{log_prefix}dead")
    assert [letter[b"reason"] for letter in letters] == [b"payload_lost"] * 2
    assert await pending(quick, log_prefix) == 0


async def test_a_process_that_dies_before_it_has_told_what_was_trimmed_leaves_it_to_the_next(
    quick: Log, log_prefix: str, outcomes: Outcomes
) -> None:
    """Or loses the answer of its claim: the server tells once what it took off the pending list."""
    name = f"{log_prefix}in"
    await ensure_group(quick.commands(), name, GROUP)
    entry_id = await add(quick, name, {"n": "1"})
    await deliver(quick, name, GROUP, "dead-1")
    await raw(quick, "XDEL", name, entry_id)
    await claim(quick.commands(), name, GROUP, "dead-2", 0, "0-0", 10)
    assert await pending(quick, log_prefix) == 0
    async with running(stage(quick, log_prefix, outcomes, lambda entry, at: Drop("never said"))):
        await outcomes.reach(1)
    (letter,) = await contents(quick, f"{log_prefix}dead")
    assert (letter[b"reason"], letter[b"id"]) == (b"payload_lost", entry_id.encode())
    async with running(stage(quick, log_prefix, outcomes, lambda entry, at: Drop("never said"))):
        await add(quick, name, {"n": "2"})
        await outcomes.reach(2)
    assert outcomes == {("from in", Kind.DEAD, "payload_lost"): 1, ("from in", Kind.DROPPED, "never said"): 1}
