"""The mappings of the page work on the alerts beside them."""

import re
import tomllib
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from sureclose.domain.times import iso_ms
from sureclose.operate.api.hook_secrets import Hook
from sureclose.operate.api.hook_trial import trials
from sureclose.services.settings_hooks import HookSettings

PAGE: Final = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
NOW: Final = 1_795_860_000_000
SECRET: Final = "0123456789abcdef"
SENDERS: Final = ("tradingview", "alertmanager", "signal_bot")
FILLED: Final = {
    "THE SECRET": SECRET,
    "{{exchange}}": "BINANCE",
    "{{ticker}}": "ETHUSDT.P",
    "{{strategy.market_position}}": "flat",
    "{{strategy.prev_market_position}}": "long",
    "{{timenow}}": iso_ms(NOW - 2_000),
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def hooks() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for block in blocks("toml"):
        found |= tomllib.loads(block)["hooks"]
    return found


@pytest.mark.parametrize(
    ("name", "alert", "side"),
    list(zip(SENDERS, blocks("json"), ("LONG", "BOTH", "LONG"), strict=True)),
    ids=SENDERS,
)
def test_each_alert_of_the_page_becomes_a_close(name: str, alert: str, side: str) -> None:
    settings = msgspec.convert({"secret": SECRET, **hooks()[name]}, HookSettings)
    for blank, value in FILLED.items():
        alert = alert.replace(blank, value)
    [found] = trials(Hook(name, settings), "paper:main", alert.encode(), NOW)
    assert (found.becomes, found.symbol, found.position_side) == ("close", "ETHUSDT", side), found
    assert found.secret in {"", "right"}
    [other] = trials(Hook(name, settings), "paper:main", alert.replace("flat", "long").encode(), NOW)
    assert other.becomes == ("close" if name == "alertmanager" else "ignored")


def test_the_page_names_every_key_of_a_hook() -> None:
    named = set(re.findall(r"`([a-z_]+)`", PAGE))
    assert set(HookSettings.__struct_fields__) - {"symbols"} <= named
    assert "[hooks.NAME.symbols]" in PAGE
