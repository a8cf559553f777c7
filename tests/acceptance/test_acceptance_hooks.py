"""Webhooks of a real process: what foreign senders post becomes one close, or nothing, and says which. The exchange judges."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
import pytest_asyncio

from tests.acceptance.world import QUICK, Held, World, eventually, now_ms, token, world

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

SECRETS: Final = {
    name: f"{name}-{token()}" for name in ("tradingview", "alertmanager", "signed", "sentence", "expiring")
}
CONFIGURATION: Final = """
[hooks.tradingview]
secret_in = "body:secret"
symbol = "$.ticker"
fraction = "$.fraction"
reason = "$.comment"
timestamp = "$.time"
when = [{ path = "$.action", accept = ["close"] }]
[hooks.tradingview.symbols]
"ETHER" = "ETHUSDT"

[hooks.alertmanager]
secret_in = "header:Authorization"
each = "$.alerts"
symbol = "$.labels.symbol"
identity = ["$.fingerprint", "$.startsAt"]
when = [{ path = "$.status", accept = ["firing"] }]

[hooks.signed]
secret_in = "hmac-sha256:X-Signature-256"
symbol = "$.symbol"
quantity = "$.quantity"

[hooks.expiring]
secret_in = "header:X-Key"
symbol = "$.symbol"
expires_at = "$.until"
identity = ["$.id"]

[hooks.sentence]
secret_in = "query:key"
template = "{action} {symbol} now"
symbol = "$.symbol"
when = [{ path = "$.action", accept = ["close"] }]
"""


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def intent_id_of(hook: str, *identity: str) -> str:
    """The rule of docs/webhooks.md: what a close of a hook is called."""
    parts = ["hook", "paper:main", hook, *(json.dumps(value) for value in identity)]
    return hashlib.sha256(json.dumps(parts, separators=(",", ":")).encode()).hexdigest()[:32]


class Answer:
    def __init__(self, status: int, headers: dict[str, str], text: str) -> None:
        self.status = status
        self.headers = headers
        self.text = text

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.text)
        return found


class Senders:
    """What posts to the hooks, and the deployment that takes it."""

    def __init__(self, deployment: World, address: str, session: aiohttp.ClientSession) -> None:
        self.deployment = deployment
        self.exchange = deployment.exchange
        self.eth = deployment.exchange.reserve("ETHUSDT")
        self._address = address
        self._session = session

    async def post(self, path: str, body: bytes | str, **headers: str) -> Answer:
        raw = body.encode() if isinstance(body, str) else body
        headers = {"Content-Type": "text/plain", **headers}
        async with self._session.post(
            f"{self._address}/v1/hooks/{path}", data=raw, headers=headers
        ) as answer:
            return Answer(answer.status, dict(answer.headers), await answer.text())

    async def tradingview(self, symbol: str, **more: Any) -> Answer:
        return await self.post("tradingview", json.dumps(alert(symbol, **more)))

    async def refusals(self, intent_id: str) -> list[dict[str, str]]:
        entries = await self.deployment.log.entries("sureclose:paper:main:refused")
        return [fields for _, fields in entries if fields.get("intent_id") == intent_id]

    async def closed(self, answer: Answer, held: Held, fraction: str = "1") -> None:
        """It came to its outcome, with one order."""
        await self.deployment.log.outcome(answer.document["plan_id"])
        await self.exchange.closed_once(held, held.share(fraction))

    async def metric(self, name: str) -> float:
        async with self._session.get(f"{self._address}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def alert(symbol: str, **more: Any) -> dict[str, Any]:
    """As TradingView fills its placeholders in."""
    return {
        "secret": SECRETS["tradingview"],
        "action": "close",
        "ticker": f"BINANCE:{symbol}.P",
        "fraction": 1,
        "comment": "stop",
        "time": iso(now_ms()),
        **more,
    }


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def senders(external_log: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Senders]:
    folder = tmp_path_factory.mktemp("hooks")
    (folder / "sureclose.toml").write_text(CONFIGURATION)
    secrets = {f"HOOKS__{name.upper()}__SECRET": secret for name, secret in SECRETS.items()}
    async with (
        aiohttp.ClientSession() as session,
        world(external_log, folder, QUICK | secrets) as deployment,
    ):
        yield Senders(deployment, await deployment.up(deployment.run()), session)
        told = deployment.runs[0].told
        assert not [name for name, secret in SECRETS.items() if secret in told]
        assert "http_failed" not in told


async def test_ten_of_one_alert_at_once_are_one_close_with_one_address(senders: Senders) -> None:
    held = await senders.exchange.open(88)
    body = json.dumps(alert(held.symbol, fraction="0.5"))
    answers = await asyncio.gather(*(senders.post("tradingview", body) for _ in range(10)))
    assert sorted(answer.status for answer in answers) == [200] * 9 + [202]
    assert {answer.document["repeated"] for answer in answers if answer.status == 200} == {True}
    assert len({answer.headers["Location"] for answer in answers}) == 1
    await senders.closed(answers[0], held, "0.5")
    later = await senders.post("tradingview", body)
    assert (later.status, later.document["repeated"], later.document["state"]) == (200, True, "reduced")
    await senders.exchange.closed_once(held, held.share("0.5"))


async def test_another_spelling_of_a_symbol_is_that_symbol(senders: Senders) -> None:
    held = await senders.exchange.put(senders.eth, senders.eth.step * 70)
    answer = await senders.tradingview("", ticker="ETHER")
    assert (answer.status, answer.document["symbol"]) == (202, "ETHUSDT")
    await senders.closed(answer, held)


async def test_a_replayed_alert_sends_nothing_and_its_reason_is_kept(senders: Senders) -> None:
    held = await senders.exchange.open(60)
    answer = await senders.tradingview(held.symbol, time=iso(now_ms() - 3_600_000))
    assert (answer.status, answer.document["reason"], answer.document["path"]) == (422, "replayed", "$.time")
    [refusal] = await senders.refusals(answer.document["intent_id"])
    assert (refusal["where"], refusal["reason"], refusal["symbol"]) == (
        "hook:tradingview",
        "replayed",
        held.symbol,
    )
    await senders.exchange.untouched(held)


async def test_a_wrong_secret_and_an_unknown_hook_are_answered_the_same(senders: Senders) -> None:
    held = await senders.exchange.open(61)
    body = json.dumps(alert(held.symbol, secret="a-wrong-secret-of-somebody"))
    answers = [
        await senders.post("tradingview", body),
        await senders.post("nobody", body),
        await senders.post("tradingview", json.dumps(alert(held.symbol) | {"secret": None})),
        await senders.post("alertmanager", body, Authorization="Bearer wrong"),
        await senders.post("signed", body, **{"X-Signature-256": "sha256=" + "0" * 64}),
        await senders.post("sentence?key=wrong", "close X now"),
        await senders.post(f"sentence?key={SECRETS['sentence']}&key=x", "close X now"),
        await senders.post("tradingview", b"\xff"),
    ]
    assert {answer.status for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1
    assert len({answer.headers["WWW-Authenticate"] for answer in answers}) == 1
    await senders.exchange.untouched(held)
    assert await senders.metric("sureclose_hook_alerts_unknown_total") >= len(answers)


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"fraction": 25}, "$.fraction"),
        ({"fraction": None}, "$.fraction"),
        ({"ticker": "{{ticker}}"}, "$.ticker"),
        ({"time": "{{timenow}}"}, "$.time"),
    ],
)
async def test_what_is_absurd_is_refused_with_its_place_and_recorded(
    senders: Senders, more: dict[str, Any], path: str
) -> None:
    held = await senders.exchange.open(62)
    answer = await senders.tradingview(held.symbol, comment=SECRETS["tradingview"], **more)
    assert (answer.status, answer.document["reason"], answer.document["path"]) == (422, "absurd", path)
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    [refusal] = await senders.refusals(answer.document["intent_id"])
    assert refusal["remedy"] == answer.document["remedy"]
    assert SECRETS["tradingview"] not in answer.text + str(refusal)
    await senders.exchange.untouched(held)


async def test_what_does_not_ask_for_a_close_is_ignored_and_counted(senders: Senders) -> None:
    held = await senders.exchange.open(63)
    before = await senders.metric('sureclose_hook_alerts_total{became="ignored",hook="tradingview"}')
    answer = await senders.tradingview(held.symbol, action="buy")
    assert (answer.status, answer.document["ignored"]) == (200, True)
    assert "$.action" in answer.document["why"]
    after = await senders.metric('sureclose_hook_alerts_total{became="ignored",hook="tradingview"}')
    assert after == before + 1
    await senders.exchange.untouched(held)


async def test_the_other_ways_to_carry_a_secret_close_as_well(senders: Senders) -> None:
    second, third = [await senders.exchange.open(steps) for steps in (-65, 66)]
    signed = json.dumps({"symbol": second.symbol, "quantity": float(second.step * 5), "n": token()}).encode()
    mac = hmac.digest(SECRETS["signed"].encode(), signed, "sha256")
    two = await senders.post("signed", signed, **{"X-Signature-256": f"sha256={mac.hex()}"})
    again = await senders.post("signed", signed, **{"X-Signature-256": base64.b64encode(mac).decode()})
    three = await senders.post(f"sentence?key={SECRETS['sentence']}", f"close {third.symbol.lower()}  now\n")
    assert [answer.status for answer in (two, again, three)] == [202, 200, 202]
    await senders.closed(three, third)
    await senders.deployment.log.outcome(two.document["plan_id"])
    await senders.exchange.closed_once(second, second.step * 5)


def group(*symbols: str, status: str = "firing") -> dict[str, Any]:
    """As Alertmanager and Grafana post it: all alerts of a group in one body."""
    return {
        "status": status,
        "alerts": [
            {"status": status, "labels": {"symbol": symbol}, "fingerprint": symbol, "startsAt": iso(now_ms())}
            for symbol in symbols
        ],
    }


async def test_each_alert_of_a_group_is_a_close_of_its_own(senders: Senders) -> None:
    held = [await senders.exchange.open(steps) for steps in (64, -63)]
    body = group(held[0].symbol, held[1].symbol)
    bearer = f"Bearer {SECRETS['alertmanager']}"
    first = await senders.post("alertmanager", json.dumps(body), Authorization=bearer)
    assert [one["status"] for one in first.document["alerts"]] == [202, 202]
    body["alerts"] += group("not/a/symbol")["alerts"]
    again = await senders.post("alertmanager", json.dumps(body), Authorization=bearer)
    assert (first.status, again.status) == (202, 422)
    assert [one["status"] for one in again.document["alerts"]] == [200, 200, 422]
    gone = await senders.post(
        "alertmanager", json.dumps(group(held[0].symbol, status="resolved")), Authorization=bearer
    )
    assert (gone.status, gone.document["alerts"][0]["ignored"]) == (200, True)
    for one, position in zip(first.document["alerts"], held, strict=True):
        await senders.deployment.log.outcome(one["plan_id"])
        await senders.exchange.closed_once(position)


async def test_an_alert_that_nobody_remembers_is_known_by_its_close(senders: Senders) -> None:
    held = await senders.exchange.open(67)
    body = json.dumps({"symbol": held.symbol, "quantity": str(held.step * 3), "n": token()}).encode()
    signature = {"X-Signature-256": hmac.digest(SECRETS["signed"].encode(), body, "sha256").hex()}
    first = await senders.post("signed", body, **signature)
    plan_id = first.document["plan_id"]
    await senders.deployment.log.outcome(plan_id)
    await senders.deployment.log.forget(f"sureclose:paper:main:asked:{first.document['id']}")
    again = await senders.post("signed", body, **signature)
    assert (again.status, again.document["repeated"], again.document["plan_id"]) == (200, True, plan_id)
    assert (again.document["state"], again.document["final"]) == ("reduced", True)
    await senders.exchange.closed_once(held, held.step * 3)


async def test_an_alert_is_never_a_persons(senders: Senders) -> None:
    held = await senders.exchange.open(68)
    answer = await senders.tradingview(held.symbol)
    await senders.closed(answer, held)
    assert not answer.document.get("warranted", False)
    intents = [fields for _, fields in await senders.deployment.log.entries("harvest.intent")]
    [intent] = [fields for fields in intents if fields["intent_id"] == answer.document["id"]]
    assert intent["source"] == "hook:tradingview"
    assert SECRETS["tradingview"] not in str(intents)
    keys = await senders.deployment.log.keys()
    assert not [key for key in keys if ":warrant:" in key]


@pytest.mark.parametrize(
    ("until", "reason"),
    [(iso(1_700_000_000_000), "expired"), ("9999-12-31T23:59:59-23:59", "absurd"), ("soon", "absurd")],
)
async def test_an_alert_that_can_not_be_acted_upon_in_time_is_refused(
    senders: Senders, until: str, reason: str
) -> None:
    held = await senders.exchange.open(70)
    body = json.dumps({"symbol": held.symbol, "until": until, "id": token()})
    answer = await senders.post("expiring", body, **{"X-Key": SECRETS["expiring"]})
    assert (answer.status, answer.document["reason"]) == (422, reason)
    [refusal] = await senders.refusals(intent_id_of("expiring", json.loads(body)["id"]))
    assert (refusal["reason"], refusal["actor"]) == (reason, "expiring")
    await senders.exchange.untouched(held)


async def test_another_wish_under_an_identity_is_refused_and_its_repeat_is_not(senders: Senders) -> None:
    held, other = await senders.exchange.open(71), await senders.exchange.open(72)
    name, until, key = token(), now_ms() + 3_000, {"X-Key": SECRETS["expiring"]}
    wish = {"symbol": held.symbol, "until": str(until), "id": name}
    first = await senders.post("expiring", json.dumps(wish), **key)
    second = await senders.post("expiring", json.dumps(wish | {"symbol": other.symbol}), **key)
    assert (first.status, second.status) == (202, 409)
    await senders.closed(first, held)

    async def expired() -> bool | None:
        return now_ms() > until + 100 or None

    await eventually("the alert has expired", expired)
    again = await senders.post("expiring", json.dumps(wish), **key)
    assert (again.status, again.document["state"]) == (200, "flat")
    assert (await senders.post("expiring", json.dumps(wish | {"symbol": other.symbol}), **key)).status == 422
    assert [one["reason"] for one in await senders.refusals(first.document["id"])] == ["conflict", "expired"]
    await senders.exchange.untouched(other)


async def test_too_large_a_body_is_refused_before_anything_else(senders: Senders) -> None:
    answer = await senders.post("tradingview", b" " * 70_000)
    assert answer.status == 413


async def test_the_command_line_says_what_an_alert_would_become(senders: Senders, tmp_path: Path) -> None:
    held = await senders.exchange.open(69)
    file = tmp_path / "alert.json"
    file.write_text(json.dumps(alert(held.symbol, fraction="0.25")))
    shown = await senders.deployment.command(
        "-c",
        str(senders.deployment.folder / "sureclose.toml"),
        "hooks",
        "test",
        "tradingview",
        str(file),
        "--json",
    )
    assert shown.code == 0, shown
    [one] = shown.document["alerts"]
    assert (one["becomes"], one["symbol"]) == ("close", held.symbol)
    assert (one["fraction"], one["secret"]) == ("0.25", "right")
    await senders.exchange.untouched(held)
    asked = await senders.post("tradingview", file.read_bytes())
    assert asked.document["id"] == one["intent_id"]
    await senders.closed(asked, held, "0.25")


async def test_a_flood_of_wrong_secrets_is_told_to_wait_and_keeps_nobody_out(senders: Senders) -> None:
    held = await senders.exchange.open(73)
    wrong = await asyncio.gather(*(senders.post("nobody", token()) for _ in range(60)))
    assert {answer.status for answer in wrong} == {401, 429}
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in wrong if answer.status == 429)
    answer = await senders.tradingview(held.symbol)
    assert answer.status == 202
    await senders.closed(answer, held)


async def test_a_hook_without_a_secret_does_not_start(senders: Senders) -> None:
    process = senders.deployment.run(HOOKS__SENTENCE__SECRET="")
    assert await process.ended() == 4
    assert "SURECLOSE__HOOKS__SENTENCE__SECRET" in process.told
