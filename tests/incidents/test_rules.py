"""Incidents whose crossing is a rule: one table of codes, one way to an order, one loader of secrets, one budget."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sureclose
from sureclose import config
from sureclose.config import Config, ConfigError
from sureclose.domain import actions
from sureclose.domain.events import Decision, EntryRef, Intent, Plan
from sureclose.domain.market import Class
from sureclose.domain.words import Mode, PositionSide, Side
from sureclose.services.alarms.closes import UNFLAGGED
from sureclose.streams.codec import CodecRules, decode
from sureclose.streams.names import StreamName
from sureclose.venue.codes import CODES
from sureclose.venue.environments import VenueSettings, addresses
from sureclose.venue.limits import Limits
from sureclose.venue.orders import parameters
from sureclose.venue.port import Purpose, ReducingOrder
from sureclose.venue.schemas import PositionRow
from tests.acceptance.world import decision

ROOT = Path(sureclose.__file__).parent

# 51, 55: one way to an order -----------------------------------------------------------------------------------------

_ORDERS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "symbol": st.text(min_size=1, max_size=20),
        "side": st.sampled_from(Side),
        "position_side": st.sampled_from(PositionSide),
        "quantity": st.decimals(min_value="1e-9", max_value="1e9", allow_nan=False, allow_infinity=False),
        "client_order_id": st.from_regex(r"[A-Za-z0-9_-]{1,36}", fullmatch=True),
        "timestamp": st.integers(1, 2**50),
        "recv_window": st.integers(1, 60_000),
        "limit_price": st.none() | st.decimals(min_value="1e-9", max_value="1e9", allow_nan=False),
    }
)


@given(_ORDERS)
def test_incident_51_no_order_can_be_written_that_does_not_reduce(values: dict[str, Any]) -> None:
    against = {PositionSide.LONG: Side.SELL, PositionSide.SHORT: Side.BUY}
    side, position_side = values["side"], values["position_side"]
    if position_side in against and side is not against[position_side]:
        with pytest.raises(ValueError, match="does not reduce"):
            ReducingOrder(**values)
        return
    asked = dict(parameters(ReducingOrder(**values)))
    one_way = asked["positionSide"] == "BOTH"
    assert asked.get("reduceOnly") == ("true" if one_way else None)
    assert one_way or (asked["positionSide"], asked["side"]) in {("LONG", "SELL"), ("SHORT", "BUY")}
    assert "closePosition" not in asked


def test_incident_51_an_order_has_no_field_that_says_whether_it_reduces() -> None:
    assert not [name for name in ReducingOrder.__struct_fields__ if name.startswith(("reduce", "close"))]


def _calls(name: str) -> Iterator[str]:
    """Where our own code, the paper exchange left out, calls something of that name."""
    for file in sorted(ROOT.rglob("*.py")):
        path = file.relative_to(ROOT)
        if path.parts[0] == "paper":
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == name:
                yield f"{path.as_posix()}: {ast.unparse(node)}"


def test_incident_55_there_is_one_way_from_a_close_to_the_venue() -> None:
    """One caller of the port, one of the client, one of the wire; and what goes there is made by ``parameters``."""
    assert list(_calls("place")) == ["services/posting.py: venue.place(order)"]
    assert list(_calls("post_order")) == ["venue/rest.py: client.post_order(parameters(order))"]
    assert list(_calls("post_form")) == ["venue/client.py: self.orders.post_form(ORDER.path, body)"]


# 50, 59: one table of codes ------------------------------------------------------------------------------------------


def test_incident_50_every_code_that_means_a_missing_flag_is_an_alarm() -> None:
    says_so = {code for code, row in CODES.items() if "flag did not arrive" in row.remedy}
    assert says_so == UNFLAGGED


_SAID = {
    -1106: ("PARAM_NOT_REQUIRED", Class.FIX, "request"),
    -2021: ("ORDER_WOULD_IMMEDIATELY_TRIGGER", Class.FIX, "stop orders"),
    -2022: ("REDUCE_ONLY_REJECT", Class.FLAT_CHECK, "zero is success"),
    -4015: ("INVALID_CL_ORD_ID_LEN", Class.FIX, "client order id"),
    -4045: ("MAX_STOP_ORDER_EXCEEDED", Class.FIX, "stop orders"),
    -4116: ("DUPLICATED_CLIENT_ORDER_ID", Class.RESOLVE, "query"),
    -4118: ("REDUCE_ONLY_MARGIN_CHECK_FAILED", Class.FLAT_CHECK, "resting orders"),
    -4131: ("MARKET_ORDER_REJECT", Class.RETRY, "band"),
    -4140: ("INVALID_OPENING_POSITION_STATUS", Class.FIX, "flag"),
    -4164: ("MIN_NOTIONAL", Class.FIX, "exempt"),
    -4402: ("COMPLIANCE_BLACK_SYMBOL_RESTRICTION", Class.ESCALATE, "person"),
    -4403: ("ADJUST_LEVERAGE_COMPLIANCE_FAILED", Class.ESCALATE, "person"),
    -5028: ("ME_RECVWINDOW_REJECT", Class.RETRY, "new attempt"),
}
"""As Binance's error code page of USDS-M futures names them; -4045 ("Reach max stop order limit.") is not about margin."""


@pytest.mark.parametrize("code", _SAID)
def test_incident_59_a_code_means_what_the_venue_says_that_it_means(code: int) -> None:
    row, (name, kind, about) = CODES[code], _SAID[code]
    assert (row.name, row.kind) == (name, kind)
    assert about in row.remedy


# 61: the budget ------------------------------------------------------------------------------------------------------


def test_incident_61_closes_have_room_when_polling_has_used_up_its_share() -> None:
    now = [1_790_000_000_000]
    limits = Limits(lambda: now[0], lambda: now[0] / 1000, weight_limit=2400, observe_share=0.8, counted=True)
    limits.note({"X-MBX-USED-WEIGHT-1M": "2000"}, sent_at=now[0], weight=5)
    assert limits.read_wait_ms(Purpose.OBSERVE, 5) > 0
    assert limits.read_wait_ms(Purpose.CLOSE, 5) == 0
    now[0] += 60_000
    assert limits.read_wait_ms(Purpose.OBSERVE, 5) == 0


@pytest.mark.parametrize(("status", "told_ms"), [(429, 75_000), (418, 75 * 60_000)])
def test_incident_61_nothing_is_asked_while_the_venue_wants_to_hear_nothing(
    status: int, told_ms: int
) -> None:
    """The ban of the incident took 75 minutes: closes wait for it as well, for every request makes it longer."""
    now = [1_790_000_000_000]
    limits = Limits(lambda: now[0], lambda: now[0] / 1000, weight_limit=2400, observe_share=0.8, counted=True)
    limits.refused(status, -1003, told_ms)
    for passed in (0, told_ms - 1000):
        now[0] = 1_790_000_000_000 + passed
        for purpose in Purpose:
            assert limits.read_wait_ms(purpose, 1) == told_ms - passed
    now[0] = 1_790_000_000_000 + told_ms + 1
    assert limits.read_wait_ms(Purpose.CLOSE, 1) == 0


# 65: environment, host and keys --------------------------------------------------------------------------------------

_LIVE, _DEMO = "https://fapi.binance.com", "https://testnet.binancefuture.com"


@pytest.mark.parametrize(
    ("environment", "base_url", "stream_url"),
    [
        (Mode.DEMO, _LIVE, ""),
        (Mode.DEMO, "", "wss://fstream.binance.com"),
        (Mode.PAPER, _LIVE, ""),
        (Mode.PAPER, _DEMO, ""),
        (Mode.LIVE, _DEMO, ""),
        (Mode.LIVE, "https://demo-fapi.binance.com", ""),
        (Mode.LIVE, "", "wss://stream.binancefuture.com"),
        (Mode.LIVE, "http://fapi.binance.com", ""),
        (Mode.DEMO, "http://testnet.binancefuture.com", ""),
        (Mode.LIVE, "https://FAPI.binance.com@evil.example", ""),
        (Mode.PAPER, "", ""),
    ],
)
def test_incident_65_an_address_of_another_environment_is_refused(
    environment: Mode, base_url: str, stream_url: str
) -> None:
    settings = VenueSettings(environment=environment, base_url=base_url, stream_url=stream_url)
    with pytest.raises(ValueError, match=r"venue\.(base_url|stream_url)"):
        addresses(settings)


@pytest.mark.parametrize("environment", [Mode.LIVE, Mode.DEMO])
def test_incident_65_rest_and_stream_are_of_one_environment(environment: Mode) -> None:
    found = addresses(VenueSettings(environment=environment))
    is_test = [
        any(part in text for part in ("demo", "test", "binancefuture")) for text in (found.rest, found.stream)
    ]
    assert is_test == [environment is Mode.DEMO] * 2


def test_incident_65_an_override_takes_the_stream_along() -> None:
    """Else positions would be heard from one exchange and orders sent to another."""
    found = addresses(VenueSettings(base_url="http://127.0.0.1:8080"))
    assert (found.rest, found.stream) == ("http://127.0.0.1:8080", "ws://127.0.0.1:8080")


# 22, 44, 88: what the construction holds -----------------------------------------------------------------------------


def test_incident_22_a_smaller_close_is_as_admissible_as_a_full_one() -> None:
    """A gate downgraded a full close to a partial one, which the next gate blocked because it was no close any more."""
    rules = CodecRules(Mode.PAPER)
    closing = [name for name, action in actions.ACTIONS.items() if isinstance(action, actions.Closes)]
    assert len(closing) > 10
    for name in closing:
        for stream, wanted in (
            (StreamName.HARVEST_INTENT, Intent),
            (StreamName.APPLY_PLAN, Plan),
            (StreamName.APPLY_RESULT, Decision),
        ):
            fields = decision("ETHUSDT", "plan", action=name, timestamp="1771000000", intent_id="wish")
            raw = {key.encode(): value.encode() for key, value in fields.items()}
            found = decode(
                stream, EntryRef("s", "1771000000000-0"), raw, now_ms=1_771_000_000_500, rules=rules
            )
            assert isinstance(found, wanted), f"{name} on {stream}: {found}"


def test_incident_44_no_import_can_fail_unseen() -> None:
    """A control was silently off because its import failed: here that ends the process at its start."""
    tried = [
        f"{path.relative_to(ROOT)}:{found.lineno}"
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Try | ast.With)
        for found in ast.walk(node)
        if isinstance(found, ast.Import | ast.ImportFrom)
    ]
    assert tried == []


@pytest.mark.parametrize("field", PositionRow.__struct_fields__)
def test_incident_31_a_field_that_was_renamed_is_no_zero(field: str) -> None:
    """One side renamed a field, and the other read 0 by default for a month."""
    row = _row()
    assert msgspec.convert(row, PositionRow, strict=False).symbol == "ETHUSDT"
    wire = next(one.encode_name for one in msgspec.structs.fields(PositionRow) if one.name == field)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(
            {**{k: v for k, v in row.items() if k != wire}, f"{wire}V2": row[wire]}, PositionRow, strict=False
        )


def _row() -> dict[str, Any]:
    """A position as the venue lists it (Binance docs, position information V2)."""
    return {
        "symbol": "ETHUSDT",
        "positionSide": "BOTH",
        "positionAmt": "0.500",
        "entryPrice": "2400.0",
        "markPrice": "2401.0",
        "updateTime": 1771000000000,
    }


def test_incident_88_there_is_no_default_secret() -> None:
    assert config.credentials({}) is None
    assert Config().http.token == ""
    with pytest.raises(ConfigError, match="key and secret belong together"):
        config.credentials({"SURECLOSE__VENUE__API_KEY": "only the key"})
