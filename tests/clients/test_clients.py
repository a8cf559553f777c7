"""Unmodified public clients trade on the paper exchange as they would on Binance."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sureclose.paper import PaperExchange, PaperSettings

HERE = Path(__file__).parent
PYTHON = Path(os.environ.get("SURECLOSE_CLIENTS_PYTHON") or HERE.parents[1] / ".venv-clients/bin/python")


@pytest.fixture
async def exchange() -> AsyncIterator[PaperExchange]:
    async with PaperExchange(PaperSettings(price_step_ppm=0)) as running:
        yield running


async def run(script: str, exchange: PaperExchange) -> dict[str, Any]:
    if not PYTHON.exists():
        pytest.fail(
            f"no interpreter at {PYTHON}: make a venv with ccxt==4.5.90 and python-binance==1.0.37 there, "
            "or name one in SURECLOSE_CLIENTS_PYTHON"
        )
    child = await asyncio.create_subprocess_exec(
        PYTHON,
        HERE / script,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={
            "PATH": os.environ["PATH"],
            "PAPER_REST": exchange.rest,
            "PAPER_STREAM": exchange.stream,
            "PAPER_WS_API": exchange.ws_api,
            "PAPER_KEY": exchange.api_key,
            "PAPER_SECRET": exchange.api_secret,
        },
    )
    try:
        out, err = await asyncio.wait_for(child.communicate(), 90)
    except TimeoutError:
        child.kill()
        await child.wait()
        raise
    assert child.returncode == 0, err.decode()
    result: dict[str, Any] = json.loads(out.decode().splitlines()[-1])
    return result


async def test_ccxt_opens_reads_closes_and_names_errors_as_on_binance(exchange: PaperExchange) -> None:
    seen = await run("ccxt_roundtrip.py", exchange)
    assert seen.pop("client").startswith("ccxt ")
    assert seen == {
        "markets": 12,
        "open": ["closed", 2.0, "ccxt-open-1"],
        "position": ["long", 2.0],
        "resting": ["open", 1],
        "cancelled": "canceled",
        "close": ["closed", 2.0, True],
        "found": [True, "closed", True],
        "orders": 3,
        "trades": [["buy", 2.0, False], ["sell", 2.0, True]],
        "flat": True,
        "paid": True,
        "hedged": False,
        "errors": {
            "flat": "InvalidOrder -2022",
            "margin": "InsufficientFunds -2019",
            "unknown": "OrderNotFound -2013",
            "cancel": "OrderNotFound -2011",
            "notional": "InvalidOrder -4164",
        },
        "ticker": True,
        "book": 5,
        "candles": 3,
        "stream": {"placed": "closed", "heard": "ccxt-ws-1", "same": True, "closed": True},
    }


async def test_python_binance_opens_reads_closes_and_names_errors_as_on_binance(
    exchange: PaperExchange,
) -> None:
    seen = await run("python_binance_roundtrip.py", exchange)
    assert seen.pop("client").startswith("python-binance ")
    assert seen == {
        "symbols": 12,
        "open": ["FILLED", "0.500", "pb:a/b.1_2-3"],
        "heard": ["ORDER_TRADE_UPDATE NEW", "TRADE_LITE", "ORDER_TRADE_UPDATE FILLED", "ACCOUNT_UPDATE"],
        "position": "0.500",
        "wallet": "USDT",
        "balance": "USDT",
        "open_orders": 1,
        "cancelled": "CANCELED",
        "close": ["FILLED", True],
        "found": [True, "FILLED"],
        "odd_id": True,
        "trades": ["BUY", "SELL"],
        "flat": True,
        "errors": {
            "flat": -2022,
            "step": -1111,
            "symbol": -1121,
            "margin": -2019,
            "unknown": -2013,
            "cancel": -2011,
        },
        "sync": True,
    }
