"""An approved decision on ``trade.intent``: the same one where approvals are read, and no wish where wishes are."""

from decimal import Decimal

import pytest

from sureclose.domain.events import Decision, EntryRef
from sureclose.domain.words import AgeSource, Mode, PositionSide, Verdict
from sureclose.streams.codec import CodecRules, NotAClose, NotACloseReason, decode, decode_handover
from sureclose.streams.encode import Producer, encode_decision, encode_handover
from sureclose.streams.fields import Unreadable
from sureclose.streams.names import StreamName

NOW = 1_790_000_000_000
RULES = CodecRules(Mode.PAPER)
REF = EntryRef("trade.intent", "1790000000000-0")
PRODUCER = Producer("harvest-brain", "0", "here", 1)
DECISION = Decision(
    intent_id="i1",
    plan_id="p1",
    symbol="ETHUSDT",
    position_side=PositionSide.BOTH,
    action="PARTIAL_75",
    fraction=Decimal("0.75"),
    quantity=Decimal(3),
    origin_at=NOW - 20_000,
    age_source=AgeSource.ENTRY_ID,
    expires_at=NOW + 5_000,
    position_amt=Decimal(-4),
    position_update_time=NOW - 30_000,
    mode=Mode.PAPER,
    reason="r",
    source="s",
    scores={"kill_score": "0.7"},
    cause=(EntryRef("harvest.intent", "1-0"), EntryRef("apply.result", "3-0")),
    verdict=Verdict.CLOSE,
    approved=True,
    reason_codes=("kill_score_close_ok",),
)
FIELDS = {name.encode(): value.encode() for name, value in encode_handover(DECISION, PRODUCER, NOW).items()}


def test_what_is_handed_over_is_the_same_decision() -> None:
    assert decode_handover(REF, FIELDS, now_ms=NOW, rules=RULES) == DECISION
    assert FIELDS[b"reduce_only"] == b"True"


@pytest.mark.parametrize("stream", [StreamName.TRADE_INTENT, StreamName.HARVEST_INTENT])
def test_it_is_no_wish_so_that_nothing_goes_round(stream: StreamName) -> None:
    found = decode(stream, REF, FIELDS, now_ms=NOW, rules=RULES)
    assert found == NotAClose(NotACloseReason.HANDOVER)


@pytest.mark.parametrize(
    "fields",
    [
        {"symbol": "ETHUSDT", "side": "SELL", "reduceOnly": "true", "quantity": "1"},
        {"symbol": "ETHUSDT", "decision": "CLOSE", "approved": "True", "plan_id": "p"},
        encode_decision(DECISION, PRODUCER, NOW),
        {**encode_handover(DECISION, PRODUCER, NOW), "handover": "no"},
        {"symbol": "ETHUSDT", "decision": "CLOSE", "approved": "True", "handover": "True"},
    ],
)
def test_nothing_else_on_that_stream_approves_anything(fields: dict[str, str]) -> None:
    raw = {name.encode(): value.encode() for name, value in fields.items()}
    assert decode_handover(REF, raw, now_ms=NOW, rules=RULES) == NotAClose(NotACloseReason.NO_HANDOVER)


@pytest.mark.parametrize("change", [{b"approved": b"False"}, {b"mode": b"live"}, {b"executed": b"True"}])
def test_what_approves_nothing_on_one_stream_approves_nothing_on_the_other(
    change: dict[bytes, bytes],
) -> None:
    found = decode_handover(REF, FIELDS | change, now_ms=NOW, rules=RULES)
    there = decode(StreamName.APPLY_RESULT, REF, FIELDS | change, now_ms=NOW, rules=RULES)
    assert isinstance(found, NotAClose)
    assert found == there


def test_an_entry_whose_payload_is_lost_is_unreadable() -> None:
    assert isinstance(decode_handover(REF, {}, now_ms=NOW, rules=RULES), Unreadable)
