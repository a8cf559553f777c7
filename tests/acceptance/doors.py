"""The ways in: each asks for the same wish in its own words, and none knows of the others."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from tests.acceptance.world import Held, World, token


@dataclass(frozen=True)
class Ask:
    """One wish of one name, for all of a position or for half of it. Each door spells it as its users do."""

    held: Held
    half: bool
    intent_id: str

    @property
    def fraction(self) -> str:
        return "0.5" if self.half else "1"


Way = Callable[[World, str, Ask], Awaitable[None]]
"""Asks at a deployment, whose web server is at that address; fails unless it was taken in, or said to be known."""

OLD_FULL: Final = ("CLOSE", "FULL_CLOSE_PROPOSED", "MANUAL_CLOSE")
OLD_HALF: Final = ("PARTIAL_50", "REDUCE_50", "PARTIAL_CLOSE")


async def by_the_log(deployment: World, address: str, ask: Ask) -> None:
    """As older producers write: three spellings, in two shapes."""
    for number, action in enumerate(OLD_HALF if ask.half else OLD_FULL):
        said = {"symbol": ask.held.symbol, "action": action, "intent_id": ask.intent_id}
        if action == "PARTIAL_CLOSE":
            said["percentage"] = "0.50"
        now = datetime.now(UTC).isoformat()
        if number % 2:
            said = {"event_type": "harvest.intent", "payload": json.dumps(said), "source": "old"}
        await deployment.log.add("harvest.intent", said | {"timestamp": now})


async def by_the_command_line(deployment: World, address: str, ask: Ask) -> None:
    part = ("--fraction", "0.50") if ask.half else ()
    done = await deployment.command("close", ask.held.symbol, *part, "--intent-id", ask.intent_id, "--json")
    assert done.code == 0, done
    assert done.document["intent_id"] == ask.intent_id


def new_ask(held: Held, *, half: bool) -> Ask:
    return Ask(held, half, f"wish-{token()}")


async def through(ways: list[Way], deployment: World, address: str, ask: Ask) -> None:
    """All at once."""
    await asyncio.gather(*(way(deployment, address, ask) for way in ways))


async def executed(deployment: World, ask: Ask) -> list[dict[str, Any]]:
    """The outcomes of that wish that say an order did it."""
    found = await deployment.log.entries("execution.result")
    return [
        fields
        for _, fields in found
        if fields.get("intent_id") == ask.intent_id and fields["executed"] == "True"
    ]
