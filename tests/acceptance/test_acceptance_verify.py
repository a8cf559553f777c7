"""``sureclose verify`` on what real processes left: the journal, the exchange's books, and a file with a lie in it."""

import json
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from tests.acceptance.world import Exchange, Scenarios, World, decision, hosted, token, world

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

JOURNAL_ONLY: Final = 11
"""Checks that need nothing but the journal."""
EXCHANGE: Final = 6


async def _records(venue: Exchange) -> dict[str, Any]:
    """The exchange's own books as they come from its control API."""
    url, headers = f"{venue.rest}/paper/v1/records", {"X-MBX-APIKEY": venue.key}
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        assert answer.status == 200
        books: dict[str, Any] = await answer.json()
        return books


def _held(document: dict[str, Any]) -> list[bool | None]:
    """Of every check but that of segments, of which there are none here."""
    return [check["holds"] for check in document["checks"] if check["rule"] != "segments"]


def _violated(document: dict[str, Any]) -> set[str]:
    return {check["rule"] for check in document["checks"] if check["violations"]}


async def _closed(deployment: World) -> str:
    """A plain close, one whose first request is lost, and one that comes in two orders; the plan of the first."""
    venue, log = deployment.exchange, deployment.log
    run = deployment.run()
    await deployment.up(run)
    plain, lost, parts = await venue.open(), await venue.open(-50), await venue.open(90)
    await venue.fault("request_dropped", lost.symbol, count=1)
    await venue.fault("partial_fill", parts.symbol, count=1, fraction="0.4")
    plans = [f"plan-{token()}" for _ in range(3)]
    for held, plan_id in zip((plain, lost, parts), plans, strict=True):
        await log.add("apply.result", decision(held, plan_id))
    for plan_id in plans:
        assert (await log.outcome(plan_id))["outcome"] == "FLAT"
    return plans[0]


async def _real_closes_verify(log_url: str, folder: Path) -> None:
    async with world(log_url, folder) as deployment:
        plan_id = await _closed(deployment)
        books = await _records(deployment.exchange)
        trades = folder / "records.json"
        trades.write_text(json.dumps(books))

        done = await deployment.command("verify", "--json")
        assert done.code == 0, done
        assert _held(done.document) == [True] * JOURNAL_ONLY + [None] * EXCHANGE
        assert {check["why_not"] for check in done.document["checks"][-EXCHANGE:]} == {
            "not checked: give --trades"
        }
        done = await deployment.command("verify", "--trades", str(trades), "--json")
        assert done.code == 0, done
        assert done.document["ok"] is True
        assert done.document["closes"] == 3
        assert _held(done.document) == [True] * (JOURNAL_ONLY + EXCHANGE)
        assert not any(check["unclear"] for check in done.document["checks"])
        assert done.document["foreign"] == []
        done = await deployment.command("verify", "--venue")
        assert done.code == 0, done
        assert "3 closes" in done.out
        assert "no violations, no of 18 checks not made" in done.out

        one = await deployment.command("verify", plan_id, "--trades", str(trades), "--json")
        assert (one.code, one.document["closes"]) == (0, 1)
        nobody = await deployment.command("verify", "nobody-has-it", "--json")
        assert nobody.code == 2, nobody

        await _a_changed_byte(deployment, folder, trades)
        await _a_changed_book(deployment, books, folder)


async def _a_changed_byte(deployment: World, folder: Path, trades: Path) -> None:
    """What can't be changed in the log is exported, and the file altered; it is judged without log or keys."""
    journal = folder / "journal.jsonl"
    done = await deployment.command("verify", "--export", str(journal))
    assert done.code == 0, done
    elsewhere = {"REDIS__URL": "redis://127.0.0.1:1/0", "VENUE__BASE_URL": "http://127.0.0.1:1"}
    arguments = ("verify", "--journal", str(journal), "--trades", str(trades), "--json")
    done = await deployment.command(*arguments, **elsewhere)
    assert done.code == 0, done
    assert _held(done.document) == [True] * (JOURNAL_ONLY + EXCHANGE)

    text = journal.read_text()
    at = text.index('\\"executed_qty\\":\\"') + len('\\"executed_qty\\":\\"')
    digit = "7" if text[at] != "7" else "8"
    journal.write_text(text[:at] + digit + text[at + 1 :])
    done = await deployment.command(*arguments, **elsewhere)
    assert done.code == 1, done
    assert _violated(done.document) == {"chain"}
    (told,) = next(check["violations"] for check in done.document["checks"] if check["rule"] == "chain")
    assert "was altered" in told["what"]
    assert told["records"]
    again = await deployment.command("verify", "--export", str(journal))
    assert again.code == 4, "an exported journal is not written over"


async def _a_changed_book(deployment: World, books: dict[str, Any], folder: Path) -> None:
    """An order of ours that the journal never heard of, and one of somebody else."""
    trades = folder / "other.json"
    order = {**books["orders"][0], "orderId": 1, "executedQty": "0", "status": "EXPIRED"}
    theirs = {**order, "orderId": 2, "clientOrderId": "web_abc"}
    ours = {**order, "clientOrderId": f"{deployment.order_prefix}stranger"}
    changed = {**books, "orders": [*books["orders"], ours, theirs]}
    trades.write_text(json.dumps(changed))
    done = await deployment.command("verify", "--trades", str(trades), "--json")
    assert done.code == 1, done
    assert _violated(done.document) == {"I1", "I9"}
    assert [order["client_order_id"] for order in done.document["foreign"]] == ["web_abc"]
    done = await deployment.command("verify", "--trades", str(trades))
    assert done.code == 1
    assert "VIOLATED I9 (exchange)" in done.out
    assert "FOREIGN: 1 orders" in done.out


async def _nothing_runs(_: str, folder: Path) -> None:
    async with hosted(folder) as deployment:
        running = await deployment.start()
        await deployment.exchange.list_markets()
        held = await deployment.exchange.open(20)
        plan_id = f"plan-{token()}"
        await deployment.log.add("apply.result", decision(held, plan_id))
        await deployment.log.outcome(plan_id)
        running.kill_all()
        done = await deployment.command("verify", "--json")
        assert done.code == 0, done
        assert done.document["closes"] == 1
        wrong = await deployment.command("verify", "--trades", str(folder / "nowhere.json"))
        assert wrong.code == 4
        both = await deployment.command("verify", "--venue", "--trades", "x")
        assert both.code == 4
    empty = folder / "empty"
    async with hosted(empty) as deployment:
        done = await deployment.command("verify")
        assert done.code == 2, done


async def test_real_closes_verify_by_journal_by_books_and_by_venue_and_a_lie_does_not(
    under_way: Awaitable[None],
) -> None:
    await under_way


async def test_a_journal_verifies_while_nothing_runs(under_way: Awaitable[None]) -> None:
    await under_way


SCENARIOS: Final[Scenarios] = {
    "test_real_closes_verify_by_journal_by_books_and_by_venue_and_a_lie_does_not": _real_closes_verify,
    "test_a_journal_verifies_while_nothing_runs": _nothing_runs,
}
