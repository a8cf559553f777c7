import aiohttp
import pytest

from sureclose.paper import PaperExchange, PaperSettings
from sureclose.paper.errors import VenueError
from sureclose.paper.limits import ORDERS_IN_10_S, WEIGHT_A_MINUTE, Limits

from .bare import bare

MINUTE = 60_000
NOW = 1_790_000_040_000 - 1_790_000_040_000 % MINUTE


def refused(limits: Limits, now: int, weight: int = 1, orders: int = 0) -> VenueError | None:
    try:
        limits.spend("1.2.3.4", now, weight=weight, orders_10s=orders, orders_1m=orders)
    except VenueError as refusal:
        return refusal
    return None


def test_weight_beyond_the_minutes_limit_is_429_until_the_next_minute() -> None:
    limits = Limits(enforced=True)
    assert refused(limits, NOW, WEIGHT_A_MINUTE) is None
    refusal = refused(limits, NOW + 20_000)
    assert refusal is not None
    assert (refusal.status, refusal.code, refusal.retry_after) == (429, -1003, 40)
    assert refused(limits, NOW + MINUTE) is None


def test_orders_beyond_ten_seconds_are_429_with_their_own_code() -> None:
    limits = Limits(enforced=True)
    for _ in range(ORDERS_IN_10_S):
        assert refused(limits, NOW, 0, 1) is None
    refusal = refused(limits, NOW + 4_000, 0, 1)
    assert refusal is not None
    assert (refusal.status, refusal.code, refusal.retry_after) == (429, -1015, 6)
    assert refused(limits, NOW + 10_000, 0, 1) is None


def test_who_goes_on_is_banned_and_longer_each_time() -> None:
    limits = Limits(enforced=True)
    lengths: list[int | None] = []
    now = NOW
    for _ in range(2):
        refused(limits, now, WEIGHT_A_MINUTE)
        statuses: list[VenueError] = []
        while not statuses or statuses[-1].status != 418:
            refusal = refused(limits, now)
            assert refusal is not None
            statuses.append(refusal)
        lengths.append(statuses[-1].retry_after)
        now += 1000 * (statuses[-1].retry_after or 0)
    assert lengths == [120, 240]


def test_nothing_is_refused_when_off_but_all_is_counted() -> None:
    limits = Limits(enforced=False)
    assert refused(limits, NOW, WEIGHT_A_MINUTE * 2, 1) is None
    assert limits.headers("1.2.3.4", NOW, orders=True) == {
        "X-MBX-USED-WEIGHT-1M": "4800",
        "X-MBX-ORDER-COUNT-10S": "1",
        "X-MBX-ORDER-COUNT-1M": "1",
    }


@pytest.mark.parametrize("enforced", ["real", "off"])
async def test_answers_carry_the_counts(enforced: str) -> None:
    settings = PaperSettings(limits="real" if enforced == "real" else "off")
    async with PaperExchange(settings) as exchange, aiohttp.ClientSession() as session:
        client = bare(session, exchange)
        await client.get("/fapi/v3/positionRisk")
        assert client.headers["X-MBX-USED-WEIGHT-1M"] == "5"
        await client.market("ETHUSDT", "BUY", "1")
        assert client.headers["X-MBX-ORDER-COUNT-10S"] == "1"
        exchange.gate._house.limits.spend("127.0.0.1", exchange.desk.clock(), weight=WEIGHT_A_MINUTE - 5)
        status, answer = await client.raw("GET", "/fapi/v1/ping")
        if enforced == "off":
            assert (status, answer) == (200, {})
        else:
            assert (status, answer["code"]) == (429, -1003)
            assert int(client.headers["Retry-After"]) > 0
