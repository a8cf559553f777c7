"""Health, readiness and metrics of a live process, with its venue there and with its venue gone."""

from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from tests.acceptance.world import Process, Scenarios, beside, decision, eventually, exchange, judged, token

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]


async def _health_follows_the_venue(log_url: str, folder: Path) -> None:
    """Well, then with the venue gone and a close due, then well again and the close flat."""
    data = ("--data", str(folder / "paper.jsonl"))
    async with exchange(folder, *data) as venue, beside(venue, log_url, folder) as deployment:
        run = deployment.run()
        address = await deployment.up(run)
        async with aiohttp.ClientSession() as client:
            await _is_well(client, address)
            held, plan_id = await venue.open(), token()
            port = venue.rest.rpartition(":")[2]
            venue.process.kill()
            await deployment.log.add("apply.result", decision(held, plan_id))

            async def failing() -> dict[str, Any] | None:
                status, found = await _asked(client, f"{address}/health")
                checks = {check["name"]: check for check in found["checks"]}
                failing = status == 503 and checks["closes"]["status"] == "fail"
                return found | {"by_name": checks} if failing else None

            found = await eventually("health fails for the close that is due", failing, 45)
            checks = found["by_name"]
            assert found["status"] == "failing"
            assert plan_id in checks["closes"]["detail"]
            assert checks["positions"]["status"] == "fail", "nor can positions be read"
            assert checks["user_stream"]["status"] == "warn", "the stream is down for 30 s as well"
            assert (await _asked(client, f"{address}/ping"))[0] == 200
            back = Process(["paper", "--symbols", "60", "--port", port, *data], {}, folder, "paper")
            try:
                assert (await deployment.log.outcome(plan_id))["outcome"] == "FLAT"
                judged(await venue.records(), held)

                async def well() -> bool | None:
                    status, found = await _asked(client, f"{address}/health")
                    return (status, found["status"]) == (200, "ok") or None

                await eventually("health is well again", well)
                await _counted(client, address)
            finally:
                back.kill()


async def _is_well(client: aiohttp.ClientSession, address: str) -> None:
    async def ready() -> bool | None:
        return (await _asked(client, f"{address}/ready"))[0] == 200 or None

    await eventually("it is ready", ready)
    status, found = await _asked(client, f"{address}/health")
    assert (status, found["status"]) == (200, "ok"), found
    async with client.get(f"{address}/ping") as answer:
        assert (answer.status, await answer.text()) == (200, "pong")
    async with client.get(f"{address}/nothing") as answer:
        assert answer.status == 404


async def _asked(client: aiohttp.ClientSession, url: str) -> tuple[int, Any]:
    async with client.get(url) as answer:
        found = await answer.json() if answer.content_type == "application/json" else None
        return answer.status, found


async def _counted(client: aiohttp.ClientSession, address: str) -> None:
    async with client.get(f"{address}/metrics") as answer:
        text = await answer.text()
    assert 'sureclose_closes_ended_total{outcome="FLAT",reason=""} 1.0' in text
    assert "sureclose_lease_held 1.0" in text


async def test_health_fails_while_a_close_is_due_at_a_dead_venue_and_recovers(
    under_way: Awaitable[None],
) -> None:
    await under_way


SCENARIOS: Final[Scenarios] = {
    "test_health_fails_while_a_close_is_due_at_a_dead_venue_and_recovers": _health_follows_the_venue,
}
