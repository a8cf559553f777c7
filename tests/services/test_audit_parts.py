"""The period of an audit, the map document that it rewrites, and what its probe calls a change."""

from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from sureclose.domain.market import Position, Trade
from sureclose.domain.times import iso_ms
from sureclose.domain.words import PositionSide, Side
from sureclose.fault_points import FaultPoint
from sureclose.journal import audits
from sureclose.operate.audit_period import DAY_MS, PeriodRefused, period_since
from sureclose.operate.audit_probe import unexplained
from sureclose.operate.map_file import rewrite_map
from sureclose.services.settings import AuthoritySettings
from sureclose.streams.connection import Log
from sureclose.venue.errors import VenueUnreachable
from tests.journal.journals import Desk
from tests.services.audited import Audit

NOW = 1_700_000_000_123
HOUR = 3_600_000


@pytest.mark.parametrize(
    ("text", "since"),
    [
        (None, NOW - DAY_MS),
        ("24h", NOW - DAY_MS),
        ("90m", NOW - 90 * 60_000),
        (" 45s ", NOW - 45_000),
        ("7d", NOW - 7 * DAY_MS),
        ("2023-11-14T22:00:00Z", 1_699_999_200_000),
        ("2023-11-14T22:00:00", 1_699_999_200_000),
        ("2023-11-14T23:00:00.250+01:00", 1_699_999_200_250),
        ("2023-11-14", 1_699_920_000_000),
    ],
)
def test_a_period_begins_at_a_time_or_so_long_ago(text: str | None, since: int) -> None:
    assert period_since(text, NOW) == since


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("soon", "no time and no duration"),
        ("", "no time and no duration"),
        ("h", "no time and no duration"),
        ("-5h", "no time and no duration"),
        ("12", "no time and no duration"),
        ("2023-11-15T00:00:00Z", "lies ahead"),
        ("90d", "the venue answers for 90 days"),
        ("2020-01-01", "the venue answers for 90 days"),
    ],
)
def test_a_period_that_the_venue_does_not_keep_or_nobody_understands_is_refused(text: str, says: str) -> None:
    with pytest.raises(PeriodRefused, match=says):
        period_since(text, NOW)


def test_the_earliest_period_that_is_named_in_the_refusal_is_taken() -> None:
    with pytest.raises(PeriodRefused) as refused:
        period_since("91d", NOW)
    earliest = str(refused.value).rpartition("the earliest is ")[2]
    assert iso_ms(period_since(earliest, NOW)) == earliest


# The map document ----------------------------------------------------------------------------------------------------


@pytest.fixture
async def audit(log: Log, log_prefix: str, tmp_path: Path) -> Audit:
    made = Audit(await Desk(log, log_prefix).open(), log, tmp_path)
    await made.make()
    return made


class Away:
    """A venue that does not answer: what is open is unknown then, and the page says so."""

    async def positions(self) -> list[Position]:
        raise VenueUnreachable("not now")


async def test_the_map_is_rewritten_by_an_audit_that_passes_and_left_by_one_that_does_not(
    audit: Audit,
) -> None:
    document = audit.folder / "map.md"
    document.write_text("the old one\n")
    evidence = audits.decode(audit.file.read_bytes())
    session = msgspec.structs.replace(
        audit.session, authority=AuthoritySettings(map_file=str(document)), venue=cast("Any", Away())
    )
    failed = msgspec.structs.replace(evidence, passed=False)
    record = audits.record_of(failed, audits.encode(failed))
    assert "left as it is" in await rewrite_map(session, record, failed)
    assert document.read_text() == "the old one\n"
    record = audits.record_of(evidence, audits.encode(evidence))
    assert "is rewritten" in await rewrite_map(session, record, evidence)
    text = document.read_text()
    assert all(question.asks in text for question in evidence.questions)
    assert record.sha256 in text
    assert "not now" in text, "what is open is unknown, and that is said"
    assert [path.name for path in audit.folder.glob(".map*")] == []
    assert "no map document is configured" in await rewrite_map(audit.session, record, evidence)


# The probe -----------------------------------------------------------------------------------------------------------


def _position(amount: str, update_time: int, symbol: str = "BTCUSDT") -> Position:
    return Position(
        symbol=symbol,
        position_side=PositionSide.BOTH,
        amount=Decimal(amount),
        entry_price=Decimal(1),
        mark_price=Decimal(1),
        update_time=update_time,
        requested_at=update_time,
    )


def _trade(side: Side, quantity: str, time: int) -> Trade:
    return Trade(
        trade_id=time,
        order_id=1,
        symbol="BTCUSDT",
        side=side,
        position_side=PositionSide.BOTH,
        quantity=Decimal(quantity),
        price=Decimal(1),
        realized_pnl=Decimal(0),
        commission=Decimal(0),
        commission_asset="USDT",
        time=time,
    )


def test_a_position_that_moved_by_its_trades_is_explained_and_another_is_not() -> None:
    before = [_position("2", 10)]
    sold = _trade(Side.SELL, "2", 20)
    assert unexplained(before, [], [sold]) == ()
    assert unexplained(before, [_position("2", 10)], [_trade(Side.BUY, "1", 10)]) == ()
    [told] = unexplained(before, [], [])
    assert told == "BTCUSDT BOTH moved from 2 to 0, and its trades make 0"
    [told] = unexplained([], [_position("1", 30)], [sold])
    assert "moved from 0 to 1, and its trades make -2" in told


# Keeping it ----------------------------------------------------------------------------------------------------------


class Died(Exception):
    """The process is gone."""


@pytest.mark.parametrize("point", [FaultPoint.BEFORE_AUDIT, FaultPoint.AFTER_AUDIT])
async def test_a_crash_beside_the_logs_word_leaves_a_whole_audit_or_none(
    audit: Audit, monkeypatch: pytest.MonkeyPatch, point: FaultPoint
) -> None:
    """A file that the log does not know counts for nothing; once the log knows it nothing is left to do."""

    def die(reached: FaultPoint) -> None:
        if reached is point:
            raise Died

    evidence = audits.decode(audit.file.read_bytes())
    later = msgspec.structs.replace(evidence, at=evidence.at + 1)
    with monkeypatch.context() as patched:
        patched.setattr(audits, "reach", die)
        with pytest.raises(Died):
            await audit.keep(later)
    record = audits.record_of(later, audits.encode(later))
    assert audits.evidence_file(audit.folder, record.id).exists()
    told = await audit.missing(record.id)
    assert ["there is no audit" in one for one in told] == [True] * (point is FaultPoint.BEFORE_AUDIT)
    await audit.keep(later)
    assert await audit.missing(record.id) == []
