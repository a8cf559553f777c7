"""``[harvest]``: what may stand there, and how it reaches the rules."""

from decimal import Decimal
from pathlib import Path

import pytest

from sureclose.config import ConfigError, load
from sureclose.domain.harvest.limits import HOUR_MS, Limits
from sureclose.services.settings_harvest import HarvestSettings, Interval


def test_by_default_the_rules_go_by_their_own_numbers() -> None:
    settings = load(environment={}).harvest
    assert settings == HarvestSettings()
    assert settings.limits == Limits()
    assert settings.kline_interval.milliseconds == HOUR_MS


def test_numbers_of_a_file_reach_the_rules(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        "[harvest]\n"
        'policy = "mine"\nshadow = ["reference"]\nstop_distance = 0.03\nstop_distances = { BTCUSDT = 0.01 }\n'
        'cost_bps = 5\nhard_loss = 2\nmax_age_h = 1.5\nkline_interval = "15m"\n'
    )
    settings = load([file], environment={}).harvest
    assert (settings.policy, settings.shadow) == ("mine", ("reference",))
    assert [settings.stop_distance_of(symbol) for symbol in ("BTCUSDT", "ETHUSDT")] == [
        Decimal("0.01"),
        Decimal("0.03"),
    ]
    limits = settings.limits
    assert limits.cost == Decimal("0.0005")
    assert limits.hard_loss == Decimal(2)
    assert limits.max_age == 90 * 60_000
    assert settings.kline_interval is Interval.QUARTER


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("policy", "My Policy", "small letters"),
        ("shadow", '["reference"]', "must not name"),
        ("shadow", '["one", "one"]', "must not name"),
        ("stop_distance", "0", "share of the entry price"),
        ("stop_distance", "2", "share of the entry price"),
        ("stop_distance", "nan", "share of the entry price"),
        ("klines", "49", "from 50 to 1500"),
        ("klines", "1501", "from 50 to 1500"),
        ("kline_interval", "7m", "kline_interval"),
        ("hard_loss", "0", "hard loss above 0 R"),
        ("hard_loss", "nan", "must be a number"),
        ("cost_bps", "-1", "cost must be"),
        ("max_age_h", "0", "at least a second"),
        ("mark_ratio", "1", "above 1"),
        ("entry_ratio", "inf", "must be a number"),
    ],
)
def test_what_means_nothing_is_refused_and_says_what_would(key: str, value: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load(environment={f"SURECLOSE__HARVEST__{key.upper()}": value})
