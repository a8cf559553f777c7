"""An alert becomes a close, is ignored, or is refused with a reason: never anything else, and nothing is guessed."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sureclose.domain.times import iso_ms
from sureclose.domain.words import PositionSide
from sureclose.operate.api.hook_mapping import Absurd, Ignored, Wanted, spelt
from sureclose.operate.api.hook_reading import understood
from sureclose.operate.api.hook_secrets import Hook
from sureclose.operate.api.hook_trial import trials
from sureclose.services.settings_hooks import HookSettings, When

NOW = 1_795_860_000_000
SECRET = "a-secret-of-the-hook"


def settings(**more: Any) -> HookSettings:
    parts: dict[str, Any] = {"secret": SECRET, "secret_in": "body:secret", "symbol": "$.ticker"}
    return HookSettings(**parts | more)


FULL = settings(
    position_side="$.side",
    fraction="$.fraction",
    reason="$.comment",
    expires_at="$.until",
    timestamp="$.time",
    identity=("$.id",),
    when=(When(path="$.action", accept=("close", "exit")),),
)
ALERT = {
    "secret": SECRET,
    "action": "close",
    "ticker": "BINANCE:ETHUSDT.P",
    "side": "long",
    "fraction": 0.50,
    "comment": "stop",
    "until": iso_ms(NOW + 30_000),
    "time": iso_ms(NOW - 1_000),
    "id": 7,
}


def meant(hook: HookSettings, alert: Any, now: int = NOW) -> Any:
    raw = alert if isinstance(alert, bytes) else json.dumps(alert).encode()
    [found] = understood(Hook("tv", hook), "paper:main", raw, now)
    return found.meaning


def named(hook: HookSettings, alert: Any, name: str = "tv", account: str = "paper:main") -> str:
    raw = alert if isinstance(alert, bytes) else json.dumps(alert).encode()
    [found] = understood(Hook(name, hook), account, raw, NOW)
    return found.intent_id


def refused(hook: HookSettings, **more: Any) -> Absurd:
    alert = {name: value for name, value in (ALERT | more).items() if value is not None}
    found = meant(hook, alert)
    assert isinstance(found, Absurd), found
    assert found.detail
    assert found.remedy
    return found


def test_an_alert_says_what_its_mapping_finds() -> None:
    assert meant(FULL, ALERT) == Wanted(
        symbol="ETHUSDT",
        position_side=PositionSide.LONG,
        fraction=Decimal("0.5"),
        quantity=None,
        reason="stop",
        expires_at=NOW + 30_000,
        made_at=NOW - 1_000,
    )


def test_what_is_no_place_is_a_constant() -> None:
    hook = settings(symbol="btcusdt", quantity="0.010", position_side="SHORT", reason="by the hook")
    found = meant(hook, {"secret": SECRET})
    assert (found.symbol, found.quantity, found.fraction) == ("BTCUSDT", Decimal("0.010"), None)
    assert (found.position_side, found.reason) == (PositionSide.SHORT, "by the hook")


def test_numbers_are_read_exactly() -> None:
    raw = b'{"ticker": "ETHUSDT", "q": 0.10000000000000000555}'
    assert str(meant(settings(quantity="$.q"), raw).quantity) == "0.10000000000000000555"


@pytest.mark.parametrize(
    ("name", "venue"),
    [
        ("BINANCE:ETHUSDT.P", "ETHUSDT"),
        ("ETHUSDT.P", "ETHUSDT"),
        ("ethusdt", "ETHUSDT"),
        ("BYBIT:1000PEPEUSDT", "1000PEPEUSDT"),
        ("BTCUSDT_261225", "BTCUSDT_261225"),
        ("USDT_ETH", "ETHUSDT"),
        ("BINANCE:XBT.P", "BTCUSDT"),
    ],
)
def test_symbols_are_translated_by_the_table_first(name: str, venue: str) -> None:
    hook = settings(symbols={"USDT_ETH": "ETHUSDT", "BINANCE:XBT.P": "BTCUSDT"})
    assert spelt(hook, name) == venue
    assert meant(hook, {"ticker": name}).symbol == venue


@pytest.mark.parametrize(
    "name", ["ETH/USDT", "ETH/USDT:USDT", "ETH-USDT", "A" * 41, "{{ticker}}", "BINANCE:"]
)
def test_a_symbol_that_is_in_doubt_is_refused_with_the_remedy(name: str) -> None:
    found = refused(FULL, ticker=name)
    assert (found.reason, found.path) == ("absurd", "$.ticker")
    assert "symbols" in found.remedy


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"fraction": 25}, "$.fraction"),
        ({"fraction": 0}, "$.fraction"),
        ({"fraction": -0.5}, "$.fraction"),
        ({"fraction": "50%"}, "$.fraction"),
        ({"fraction": "NaN"}, "$.fraction"),
        ({"fraction": None}, "$.fraction"),
        ({"fraction": True}, "$.fraction"),
        ({"fraction": {}}, "$.fraction"),
        ({"side": "buy"}, "$.side"),
        ({"side": None}, "$.side"),
        ({"ticker": None}, "$.ticker"),
        ({"ticker": ["ETHUSDT"]}, "$.ticker"),
        ({"time": "now"}, "$.time"),
        ({"time": None}, "$.time"),
        ({"until": "tomorrow"}, "$.until"),
    ],
)
def test_what_is_absent_or_out_of_range_is_refused_and_its_place_is_named(
    more: dict[str, Any], path: str
) -> None:
    found = refused(FULL, **more)
    assert (found.reason, found.path) == ("absurd", path)


def test_an_alert_without_its_identity_is_refused_under_a_name_all_the_same() -> None:
    assert "identity" in refused(FULL, id=None).detail
    assert named(FULL, {"action": "close"}) != named(FULL, {"action": "close", "ticker": "X"})


def test_an_old_alert_is_a_replay_and_one_of_the_future_is_absurd() -> None:
    found = refused(FULL, time=iso_ms(NOW - 60_001))
    assert (found.reason, found.threshold, found.seen) == ("replayed", "max_age_s 60", "60001 ms old")
    assert isinstance(meant(FULL, ALERT | {"time": iso_ms(NOW - 60_000)}), Wanted)
    assert refused(FULL, time=iso_ms(NOW + 60_001)).reason == "absurd"
    assert refused(FULL, time="9999-12-31T23:59:59-23:59").reason == "absurd"


@pytest.mark.parametrize("action", ["buy", "CLOSE", None, ["close"], {}])
def test_what_does_not_say_the_word_is_ignored(action: Any) -> None:
    found = meant(FULL, {"action": action, "fraction": 25})
    assert isinstance(found, Ignored)
    assert "$.action" in found.why


def test_a_reason_that_is_not_there_stops_nothing() -> None:
    assert meant(FULL, ALERT | {"comment": None}).reason == ""


def test_each_element_of_a_list_is_an_alert_of_its_own() -> None:
    hook = Hook("am", settings(each="$.alerts", identity=("$.id",)))
    body = json.dumps({"alerts": [{"ticker": "ETHUSDT", "id": 1}, {"ticker": "BTCUSDT", "id": 1}, {"id": 2}]})
    found = understood(hook, "paper:main", body.encode(), NOW)
    first, second, third = (one.meaning for one in found)
    assert isinstance(first, Wanted)
    assert isinstance(second, Wanted)
    assert (first.symbol, second.symbol) == ("ETHUSDT", "BTCUSDT")
    assert isinstance(third, Absurd)
    assert found[0].intent_id == found[1].intent_id != found[2].intent_id


@pytest.mark.parametrize("alerts", [None, [], {}, "x", [1] * 101])
def test_a_list_that_is_none_is_refused(alerts: Any) -> None:
    found = meant(settings(each="$.alerts"), {"alerts": alerts})
    assert isinstance(found, Absurd)
    assert (found.reason, found.path) == ("unreadable", "$.alerts")


# Identity ------------------------------------------------------------------------------------------------------------


def test_the_same_alert_has_the_same_name_however_it_is_laid_out_and_whatever_its_secret() -> None:
    hook = settings()
    one = json.dumps({"ticker": "ETHUSDT", "n": 1, "secret": SECRET}).encode()
    other = json.dumps({"secret": "another one", "n": 1, "ticker": "ETHUSDT"}, indent=2).encode()
    assert named(hook, one) == named(hook, other)
    assert named(hook, one) != named(hook, {"ticker": "ETHUSDT", "n": 2})
    assert named(hook, one) != named(hook, one, name="other")
    assert named(hook, one) != named(hook, one, account="live:main")


def test_the_mapped_identity_alone_tells_alerts_apart() -> None:
    assert named(FULL, ALERT) == named(FULL, ALERT | {"comment": "again", "fraction": 0.25})
    assert named(FULL, ALERT) != named(FULL, ALERT | {"id": 8})


def test_a_secret_is_in_nothing_that_is_recorded() -> None:
    hook = settings(reason="$.comment", fraction="$.secret")
    alert = {"secret": SECRET, "ticker": SECRET, "comment": f"my {SECRET} is this"}
    assert SECRET not in repr(meant(hook, alert))
    assert SECRET not in repr(meant(settings(reason="$.secret"), alert))
    assert SECRET not in repr(meant(settings(reason="$.comment"), alert | {"ticker": "ETHUSDT"}))
    assert SECRET not in repr(hook)


# Total ---------------------------------------------------------------------------------------------------------------

VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50)
WORDS = st.sampled_from(
    [*map(str, ALERT.values()), "9999-12-31T23:59:59-23:59", "\ud800", "1e999", "LONG", ""]
)
ANY = st.recursive(
    VALUES | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*ALERT, "x"]), inner),
    max_leaves=15,
)


@given(ANY | st.fixed_dictionaries({}, optional=dict.fromkeys(ALERT, VALUES | WORDS)))
def test_any_json_is_a_close_is_ignored_or_is_refused_with_a_reason(alert: Any) -> None:
    for hook in (FULL, settings(quantity="$.fraction"), settings(symbol="$")):
        _one_of_three(hook, json.dumps(alert).encode())


@given(st.binary())
def test_any_bytes_as_well(raw: bytes) -> None:
    for hook in (FULL, settings(template="close {ticker} {secret}"), settings(symbol="$")):
        _one_of_three(hook, raw)


def _one_of_three(hook: HookSettings, raw: bytes) -> None:
    found = meant(hook, raw)
    match found:
        case Wanted(fraction=fraction, quantity=quantity):
            assert fraction is None or 0 < fraction <= 1
            assert quantity is None or quantity > 0
        case Ignored(why=why):
            assert why
        case Absurd():
            assert found.reason
            assert found.detail
            assert found.remedy
        case _:
            pytest.fail(f"there is a {found}")
    [tried] = trials(Hook("tv", hook), "paper:main", raw, NOW)
    assert tried.becomes in {"close", "ignored", "refused"}
