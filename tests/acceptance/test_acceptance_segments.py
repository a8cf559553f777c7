"""Finished closes leave the log, whatever dies on the way, and can be read, checked and repeated as before."""

import json
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Final

import pytest

from tests.acceptance.keys import kind_of
from tests.acceptance.world import (
    QUICK,
    Fields,
    Held,
    Scenarios,
    World,
    decision,
    eventually,
    judged,
    token,
    world,
)

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

CRASHED: Final = 137
AT_ONCE: Final = QUICK | {
    "JOURNAL__ARCHIVE_AFTER_S": "0",
    "JOURNAL__KEEP_FINISHED": "0",
    "EXECUTION__MAX_AGE_S": "3600",
}


async def _every_key_is_owned(deployment: World, *seen: str) -> None:
    keys = [key.removeprefix(deployment.log.prefix) for key in await deployment.log.keys()]
    strange = [key for key in keys if kind_of(key) is None]
    assert not strange, "give it an owner, a bound and a rule in docs/journal.md"
    for name in seen:
        assert any(name in key for key in keys), f"{name} was there to be looked at"


async def _killed_while_archiving(log_url: str, folder: Path) -> None:
    async with world(log_url, folder, AT_ONCE) as deployment:
        held, plans = await _archived_through_two_crashes(deployment)
        segments = sorted((folder / "data" / "segments" / "paper:main").iterdir())
        assert segments, "there is a file for each anchor"
        await _said_again(deployment, held, plans)
        await _every_key_is_owned(deployment, ":burnt:", ":anchors", "dead.letter", ":slot:", ":lease")
        await _traced_and_verified(deployment, plans, segments)
        await _damaged(deployment, segments)


async def _archived_through_two_crashes(deployment: World) -> tuple[Held, list[str]]:
    """Before the anchor with a file that is whole, and right behind the anchor; then for good."""
    venue, log = deployment.exchange, deployment.log
    first = deployment.run(SURECLOSE_CRASH_AT="before_anchor")
    await deployment.up(first)
    held, plans = await venue.open(), [f"plan-{token()}" for _ in range(2)]
    for plan_id in plans:
        await log.add("apply.result", decision(held, plan_id))
    assert await first.ended() == CRASHED, first.told
    await _every_key_is_owned(deployment, ":close:", ":order:", ":finished", ":journal", ":grant", ":pulse")
    second = deployment.run(SURECLOSE_CRASH_AT="after_anchor")
    assert await second.ended() == CRASHED, second.told
    deployment.run()
    outcomes = [(await log.outcome(plan_id))["outcome"] for plan_id in plans]
    assert sorted(outcomes) == ["ALREADY_FLAT", "FLAT"]
    await _gone(deployment)
    judged(await venue.records(), held)
    return held, plans


async def _gone(deployment: World) -> None:
    async def none_left() -> bool | None:
        keys = await deployment.log.keys()
        return None if any(":close:" in key or ":order:" in key for key in keys) else True

    await eventually("every finished close leaves the log", none_left)


async def _said_again(deployment: World, held: Held, plans: list[str]) -> None:
    """The same wish again is a duplicate, another one under its name a dead letter, and neither is sent."""
    venue, log = deployment.exchange, deployment.log
    again = await venue.open()
    before = len((await venue.records()).orders(held.symbol))
    same = decision(held, plans[0])
    other = decision(again, plans[1])
    for wish in (same, other):
        entry = await log.add("apply.result", wish)
        await log.finished("apply.result", "execution_service_exits", entry)

    async def buried() -> list[Fields] | None:
        return [fields for _, fields in await log.entries("dead.letter")] or None

    (letter,) = await eventually("the conflict is a dead letter", buried)
    assert plans[1] in letter["reason"]
    records = await venue.records()
    assert len(records.orders(held.symbol)) == before
    assert records.orders(again.symbol) == []
    assert records.position(again.symbol) != 0
    for plan_id in plans:
        assert len(await log.outcomes(plan_id)) == 1


async def _traced_and_verified(deployment: World, plans: list[str], segments: list[Path]) -> None:
    for plan_id in plans:
        done = await deployment.command("trace", plan_id, "--json")
        assert done.code == 0, done
        assert {"ADMITTED", "ENDED", "execution.result"} <= {one["step"] for one in done.document["steps"]}
        assert (done.document["state"], done.document["absent"]) == ("DONE", [])
    done = await deployment.command("verify", "--json")
    assert done.code == 0, done
    assert done.document["closes"] == len(plans)
    (told,) = (check for check in done.document["checks"] if check["rule"] == "segments")
    assert told["holds"]
    assert told["checked"] == len(segments) + 1, "every file, and the chain of their anchors"
    done = await deployment.command("verify", plans[0], "--json")
    assert (done.code, done.document["closes"]) == (0, 1)
    exported = deployment.folder / "all.jsonl"
    assert (await deployment.command("verify", "--export", str(exported))).code == 0
    done = await deployment.command("verify", "--journal", str(exported), "--json")
    assert (done.code, done.document["closes"]) == (0, len(plans))


async def _damaged(deployment: World, segments: list[Path]) -> None:
    """An edited file and a missing one are found and named."""
    path = segments[-1]
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"FLAT", b"FLAX"))
    told = await _segment_violations(deployment)
    assert any(path.name in one for one in told)
    path.unlink()
    told = await _segment_violations(deployment)
    assert any(f"{path} is missing" in one for one in told)
    path.write_bytes(whole)
    assert (await deployment.command("verify")).code == 0


async def _segment_violations(deployment: World) -> list[str]:
    done = await deployment.command("verify", "--json")
    assert done.code == 1, done
    document: dict[str, Any] = json.loads(done.out)
    (told,) = (check for check in document["checks"] if check["rule"] == "segments")
    return [one["what"] for one in told["violations"]]


async def test_a_kill_while_archiving_loses_no_close_and_nothing_is_sent_again(
    under_way: Awaitable[None],
) -> None:
    await under_way


SCENARIOS: Scenarios = {
    test_a_kill_while_archiving_loses_no_close_and_nothing_is_sent_again.__name__: _killed_while_archiving
}
