"""What a shadow policy says is nobody's wish: neither where it is published nor where somebody copies it to."""

from decimal import Decimal

import pytest

from sureclose.domain.events import EntryRef, Intent
from sureclose.domain.words import AgeSource, Mode, PositionSide
from sureclose.streams.codec import CodecRules, NotAClose, NotACloseReason, decode
from sureclose.streams.encode import Producer, encode_intent, encode_shadow
from sureclose.streams.names import StreamName

NOW = 1_790_000_000_000
RULES = CodecRules(mode=Mode.PAPER)
PRODUCER = Producer("harvest", "1", "host", 1)
WISH = Intent(
    intent_id="i1",
    symbol="ETHUSDT",
    position_side=PositionSide.BOTH,
    action="FULL_CLOSE_PROPOSED",
    fraction=Decimal(1),
    quantity=None,
    origin_at=NOW,
    age_source=AgeSource.FIELD,
    expires_at=NOW + 60_000,
    mode=Mode.PAPER,
)


@pytest.mark.parametrize("stream", StreamName)
def test_nobody_executes_what_a_shadow_says(stream: StreamName) -> None:
    fields = {name.encode(): text.encode() for name, text in encode_shadow(WISH, PRODUCER, NOW).items()}
    found = decode(stream, EntryRef(f"x:{stream}", "1-0"), fields, now_ms=NOW, rules=RULES)
    assert found == NotAClose(NotACloseReason.OTHER_STREAM)


def test_the_shadow_stream_is_nobodys_whatever_is_written_there() -> None:
    fields = {name.encode(): text.encode() for name, text in encode_intent(WISH, PRODUCER, NOW).items()}
    ref = EntryRef("x:harvest.shadow", "1-0")
    found = decode(StreamName.HARVEST_SHADOW, ref, fields, now_ms=NOW, rules=RULES)
    assert found == NotAClose(NotACloseReason.OTHER_STREAM)
    assert isinstance(decode(StreamName.HARVEST_INTENT, ref, fields, now_ms=NOW, rules=RULES), Intent)
