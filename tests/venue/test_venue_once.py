"""One request is one request: what is refused for its time is not signed and sent again."""

import pytest

from sureclose.domain.market import Refusal
from tests.venue.venue_stubs import answering, client, http, market_order, raw_venue


@pytest.mark.parametrize(
    "code",
    [-1021, -5028, -1003, -1015, -2022, -4061],
    ids=["late", "late inside", "wait", "full", "no", "mode"],
)
async def test_a_refusal_whatever_it_says_is_the_end_of_the_request(code: int) -> None:
    refusal = http(400, {"code": code, "msg": "no"})
    async with raw_venue(answering(refusal)) as stub, client(stub.url) as venue:
        answer = await venue.place(market_order())
    assert isinstance(answer, Refusal)
    assert answer.code == code
    assert len(stub.seen("POST")) == 1
