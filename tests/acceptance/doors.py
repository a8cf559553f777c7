"""The ways in: each asks for the same wish in its own words, and none knows of the others."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import aiohttp

from sureclose import AsyncClient, Client, Unavailable
from sureclose.domain.ids import digest
from tests.acceptance.world import QUICK, Held, World, token


@dataclass(frozen=True)
class Ask:
    """One wish of one name, for all of a position or for half of it. Each door spells it as its users do."""

    held: Held
    half: bool
    alert: str
    """What the alert calls it, which is what the webhook knows it by."""
    intent_id: str

    @property
    def fraction(self) -> str:
        return "0.5" if self.half else "1"


Way = Callable[[World, str, Ask], Awaitable[None]]
"""Asks at a deployment, whose web server is at that address; fails unless it was taken in, or said to be known."""

TOKEN: Final = "sct_of-the-machine-of-these-tests-and-no-other"
"""``http.token``: a machine's, with every scope."""
ACCOUNT: Final = "paper:main"
HOOK: Final = "charts"
_SECRET: Final = "the-secret-of-these-charts"
SETTINGS: Final = QUICK | {
    "HTTP__TOKEN": TOKEN,
    "HOOKS__CHARTS__SECRET": _SECRET,
    "HOOKS__CHARTS__SECRET_IN": "body:secret",
    "HOOKS__CHARTS__SYMBOL": "$.ticker",
    "HOOKS__CHARTS__FRACTION": "$.part",
    "HOOKS__CHARTS__IDENTITY": '["$.alert"]',
}
"""Every door is open."""
OLD_FULL: Final = ("CLOSE", "FULL_CLOSE_PROPOSED", "MANUAL_CLOSE")
OLD_HALF: Final = ("PARTIAL_50", "REDUCE_50", "PARTIAL_CLOSE")


async def by_the_log(deployment: World, address: str, ask: Ask) -> None:
    """As older producers write: three spellings, in two shapes."""
    for number, action in enumerate(OLD_HALF if ask.half else OLD_FULL):
        said = {"symbol": ask.held.symbol, "action": action, "intent_id": ask.intent_id}
        if action == "PARTIAL_CLOSE":
            said["percentage"] = "0.50"
        if action == "MANUAL_CLOSE":
            said["position_side"] = "LONG" if ask.held.amount > 0 else "SHORT"
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
    """Its name is the one that the webhook gives it; all others can say any."""
    alert = token()
    return Ask(held, half, alert, digest("hook", ACCOUNT, HOOK, json.dumps(alert)))


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


def _body(ask: Ask) -> dict[str, Any]:
    part = {"fraction": 0.5} if ask.half else {}
    return {"symbol": ask.held.symbol, "intent_id": ask.intent_id, "reason": "a machine says so", **part}


async def by_http(deployment: World, address: str, ask: Ask) -> None:
    """As any program does; one that gets no answer asks elsewhere, or here again."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=10)) as session:
        for _ in range(3):
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with session.post(f"{address}/v1/closes", json=_body(ask)) as answer:
                    assert answer.status == 202, await answer.text()
                    assert answer.headers["Location"] == f"/v1/closes/{ask.intent_id}"
                    assert (await answer.json())["id"] == ask.intent_id


async def by_webhook(deployment: World, address: str, ask: Ask) -> None:
    """As a charting site posts, which sends its alert again and again where it gets no answer."""
    part = "0.50" if ask.half else "1"
    for number in range(3):
        said = {"ticker": f"BINANCE:{ask.held.symbol}.P", "part": part, "alert": ask.alert, "secret": _SECRET}
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with session.post(f"{address}/v1/hooks/{HOOK}", json=said | {"n": number}) as answer:
                    assert answer.status in {200, 202}, await answer.text()
                    assert (await answer.json())["id"] == ask.intent_id


async def by_python(deployment: World, address: str, ask: Ask) -> None:
    """Both clients, the one in a thread of its own."""

    def synchronously() -> None:
        with Client(address, TOKEN) as client, contextlib.suppress(Unavailable):
            client.close(ask.held.symbol, fraction="0.50" if ask.half else None, intent_id=ask.intent_id)

    async def asynchronously() -> None:
        async with AsyncClient(address, TOKEN) as client:
            with contextlib.suppress(Unavailable):
                await client.close(
                    ask.held.symbol,
                    fraction=Decimal("0.5") if ask.half else None,
                    intent_id=ask.intent_id,
                )

    await asyncio.gather(asynchronously(), asyncio.to_thread(synchronously))
