"""A killed exchange comes back with what it had answered."""

import asyncio
import json
import os
import signal
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sureclose.paper import PaperExchange, PaperSettings, SeedPosition, SettingsError

from .bare import Bare
from .conftest import LONG_ETH

CHILD = "from sureclose.paper.command import paper; paper()"


class Child:
    """The command as a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, ready: dict[str, Any]) -> None:
        self.process = process
        self.ready = ready

    @classmethod
    async def start(cls, *arguments: str) -> "Child":
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            CHILD,
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 20)
        return cls(process, json.loads(line))

    def client(self, session: aiohttp.ClientSession) -> Bare:
        return Bare(session, self.ready["rest"], self.ready["api_key"], self.ready["api_secret"])

    async def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        await self.process.communicate()


async def records(client: Bare) -> dict[str, Any]:
    _, answer = await client.control("GET", "records")
    for position in answer["positions"]:
        position.pop("markPrice")
    return {name: answer[name] for name in ("orders", "trades", "positions")}


async def test_records_positions_and_keys_survive_sigkill_amid_orders(tmp_path: Path) -> None:
    data = str(tmp_path / "paper.jsonl")
    child = await Child.start("--data", data, "--position", "ETHUSDT=5@2400")
    answered: list[int] = []
    async with aiohttp.ClientSession() as session:
        client = child.client(session)

        async def close() -> None:
            while True:
                answered.append(
                    (await client.market("ETHUSDT", "SELL", "0.001", reduceOnly="true"))["orderId"]
                )

        closers = [asyncio.create_task(close()) for _ in range(8)]
        while len(answered) < 100:
            await asyncio.sleep(0.005)
        await child.kill()
        await asyncio.gather(*closers, return_exceptions=True)

        with open(data, "ab") as file:  # noqa: PTH123
            file.write(b'[{"fact":"accepted","order":{"order_id":100')
        again = await Child.start("--data", data, "--position", "ETHUSDT=9@9999")
        client = again.client(session)
        try:
            assert (again.ready["api_key"], again.ready["api_secret"]) == (
                child.ready["api_key"],
                child.ready["api_secret"],
            )
            found = await records(client)
            orders = {order["orderId"]: order for order in found["orders"]}
            assert set(answered) <= set(orders)
            assert all(order["status"] == "FILLED" for order in orders.values())
            assert len(found["trades"]) == len(orders)
            assert await client.position("ETHUSDT") == f"{(5000 - len(orders)) / 1000:.3f}"
            answer = await client.market("ETHUSDT", "SELL", "0.001", reduceOnly="true")
            assert answer["orderId"] == max(orders) + 1
        finally:
            await again.kill()


async def test_everything_is_the_same_after_a_restart(tmp_path: Path) -> None:
    settings = PaperSettings(data=tmp_path / "paper.jsonl", positions=(LONG_ETH,), price_step_ppm=0)
    seen: list[Any] = []
    for _ in range(2):
        async with PaperExchange(settings) as exchange, aiohttp.ClientSession() as session:
            client = Bare(session, exchange.rest, exchange.api_key, exchange.api_secret)
            if not seen:
                await client.market("ETHUSDT", "SELL", "0.2", reduceOnly="true")
                await client.limit("ETHUSDT", "BUY", "0.1", "2390", newClientOrderId="resting")
                await client.limit("ETHUSDT", "BUY", "0.1", "2390", newClientOrderId="gone")
                await client.delete("/fapi/v1/order", symbol="ETHUSDT", origClientOrderId="gone")
                await client.post("/fapi/v1/leverage", symbol="ETHUSDT", leverage=3)
                await client.post("/fapi/v1/marginType", symbol="SOLUSDT", marginType="ISOLATED")
            else:
                assert (await client.limit("ETHUSDT", "BUY", "0.1", "2390", newClientOrderId="resting"))[
                    "code"
                ] == -4116
            config = await client.get("/fapi/v1/symbolConfig")
            balance = await client.get("/fapi/v3/balance")
            seen.append([exchange.api_key, await records(client), config, balance[0]["balance"]])
    assert seen[0][0] == seen[1][0]
    assert seen[0][2:] == seen[1][2:]
    first, second = seen[0][1], seen[1][1]
    assert (first["orders"], first["trades"]) == (second["orders"], second["trades"])
    assert first["positions"][0]["updateTime"] == second["positions"][0]["updateTime"]


async def test_a_line_broken_elsewhere_than_at_the_end_is_an_error_that_names_it(tmp_path: Path) -> None:
    data = tmp_path / "paper.jsonl"
    async with PaperExchange(PaperSettings(data=data)):
        pass
    data.write_bytes(data.read_bytes() + b'{"not": "facts"}\n')
    with pytest.raises(SettingsError, match="line 2"):
        async with PaperExchange(PaperSettings(data=data)):
            pass


async def test_contracts_and_prices_come_from_the_file_whatever_seed_is_given(tmp_path: Path) -> None:
    data = tmp_path / "paper.jsonl"
    async with PaperExchange(PaperSettings(data=data, symbols=30, seed=5)) as first:
        contracts = first.desk.contracts
    async with PaperExchange(PaperSettings(data=data)) as second:
        assert second.desk.contracts == contracts


async def test_a_start_that_failed_leaves_a_fresh_file(tmp_path: Path) -> None:
    data = tmp_path / "paper.jsonl"
    wrong = SeedPosition("ETHUSDT", Decimal("0.00001"), Decimal(2400))
    with pytest.raises(SettingsError, match="multiple of"):
        async with PaperExchange(PaperSettings(data=data, positions=(LONG_ETH, wrong))):
            pass
    async with PaperExchange(PaperSettings(data=data, positions=(LONG_ETH,))) as exchange:
        assert exchange.desk.ledger.position("ETHUSDT", "BOTH").amount == Decimal("0.5")


async def test_a_file_serves_one_exchange_at_a_time(tmp_path: Path) -> None:
    settings = PaperSettings(data=tmp_path / "paper.jsonl")
    async with PaperExchange(settings):
        with pytest.raises(SettingsError, match="in use"):
            async with PaperExchange(settings):
                pass
    async with PaperExchange(settings):
        pass


async def test_a_write_that_fails_leaves_nothing_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = PaperSettings(data=tmp_path / "paper.jsonl", positions=(LONG_ETH,), price_step_ppm=0)
    async with PaperExchange(settings) as exchange, aiohttp.ClientSession() as session:
        client = Bare(session, exchange.rest, exchange.api_key, exchange.api_secret)

        write, left = os.write, [40]

        def full(file: int, line: memoryview) -> int:
            if not left[0]:
                raise OSError(28, "No space left on device")
            room, left[0] = left[0], 0
            return write(file, line[:room])

        with monkeypatch.context() as broken:
            broken.setattr(os, "write", full)
            assert (await client.market("ETHUSDT", "SELL", "0.5"))["code"] == -1000
        assert await client.position("ETHUSDT") == "0.500"
        assert exchange.desk.ledger.orders == {}
        await client.market("ETHUSDT", "SELL", "0.2")
    async with PaperExchange(settings) as again:
        assert again.desk.ledger.position("ETHUSDT", "BOTH").amount == Decimal("0.3")


async def test_keys_come_from_the_environment_when_both_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SURECLOSE__VENUE__API_KEY", "my-key")
    monkeypatch.setenv("SURECLOSE__VENUE__API_SECRET", "my-secret")
    child = await Child.start()
    await child.kill()
    assert (child.ready["api_key"], child.ready["api_secret"]) == ("my-key", "my-secret")
