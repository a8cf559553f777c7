"""A call is one wish, however often it has to be tried, and its errors say what to do."""

import asyncio
import socket
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sureclose import (
    AsyncClient,
    Client,
    ClientError,
    Conflict,
    NotFound,
    Refused,
    Unauthorised,
    Unavailable,
)
from sureclose.client import BadAnswer
from sureclose.client.address import Address
from sureclose.client.door import Door, Request
from tests.client.conftest import AT_ONCE
from tests.client.double import TOKEN, Double

REMEDY = {"type": "urn:x", "title": "No", "detail": "this is why", "remedy": "do that"}


@pytest.mark.parametrize(
    "mishap", ["before", "after", (502, {}, ""), (503, {}, REMEDY), (504, {}, "<html>"), (429, {}, REMEDY)]
)
async def test_a_try_that_was_lost_is_repeated_under_the_same_key(
    double: Double, asynchronous: AsyncClient, mishap: Any
) -> None:
    double.mishaps.extend([mishap, mishap])
    close = await asynchronous.close("ETHUSDT", fraction="0.5")
    assert list(double.closes) == [close.id]
    assert len(double.keys) == 3
    assert len(set(double.keys)) == 1
    assert len({body for _, _, _, body in double.asked}) == 1


async def test_two_calls_are_two_wishes_unless_they_say_the_same_key(
    double: Double, asynchronous: AsyncClient
) -> None:
    await asynchronous.close("ETHUSDT")
    await asynchronous.close("ETHUSDT")
    assert len(double.closes) == 2
    named = [await asynchronous.close("ETHUSDT", idempotency_key="mine") for _ in range(2)]
    intents = [await asynchronous.close("ETHUSDT", intent_id="i-1") for _ in range(2)]
    assert named[0] == named[1]
    assert intents[0] == intents[1]
    assert len(double.closes) == 4


async def test_the_tries_are_bounded_and_the_error_names_the_key_to_repeat_with(
    double: Double, asynchronous: AsyncClient
) -> None:
    double.mishaps.extend(["after"] * 4)
    with pytest.raises(Unavailable) as caught:
        await asynchronous.close("ETHUSDT")
    assert caught.value.status == 0
    assert "sureclose run" in caught.value.remedy
    again = await asynchronous.close("ETHUSDT", idempotency_key=caught.value.idempotency_key)
    assert list(double.closes) == [again.id]
    assert len(double.asked) == 5


MISHAPS = st.sampled_from(
    ["before", "after", (502, {}, ""), (503, {"Retry-After": "0"}, REMEDY), (429, {}, "")]
)


@given(mishaps=st.lists(MISHAPS, max_size=10))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_lost_a_wish_that_is_repeated_with_its_key_is_one_close(
    double: Double, client: Client, mishaps: list[Any]
) -> None:
    double.closes.clear()
    double.mishaps.clear()
    double.mishaps.extend(mishaps)
    key, close = None, None
    while close is None:
        try:
            close = client.close("ETHUSDT", fraction="0.5", idempotency_key=key)
        except Unavailable as error:
            assert len(double.closes) <= 1
            key = error.idempotency_key
    assert list(double.closes) == [close.id]


async def test_nobody_at_the_address_is_unavailable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        async with AsyncClient(url, TOKEN, retries=()) as client:
            with pytest.raises(Unavailable, match="does not answer"):
                await client.close("ETHUSDT")


async def test_an_error_leads_to_no_other_that_holds_the_token() -> None:
    async def nonsense(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/9.9 nonsense\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(nonsense, "127.0.0.1", 0) as server:
        url = "http://{}:{}".format(*server.sockets[0].getsockname())
        async with AsyncClient(url, TOKEN, retries=()) as client:
            with pytest.raises(BadAnswer, match="does not speak HTTP") as raised:
                await client.get("any")
    error: BaseException | None = raised.value
    while error is not None:
        assert TOKEN not in repr(error) + repr(vars(error))
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Refused),
        (401, Unauthorised),
        (403, Unauthorised),
        (404, NotFound),
        (409, Conflict),
        (413, Refused),
        (422, Refused),
        (500, BadAnswer),
        (307, BadAnswer),
    ],
)
async def test_what_was_said_is_not_asked_again_and_is_an_error_with_its_remedy(
    double: Double, asynchronous: AsyncClient, status: int, kind: type[ClientError]
) -> None:
    double.mishaps.append((status, {"Location": "/v1/closes/elsewhere"}, REMEDY))
    with pytest.raises(ClientError, match="this is why; do that") as caught:
        await asynchronous.close("ETHUSDT")
    assert type(caught.value) is kind
    assert (caught.value.type, caught.value.status, caught.value.remedy) == ("urn:x", status, "do that")
    assert len(double.asked) == 1


async def test_a_key_of_another_wish_is_a_conflict(double: Double, asynchronous: AsyncClient) -> None:
    double.mishaps.append((422, {}, REMEDY | {"type": "/v1/docs#key-reused"}))
    with pytest.raises(Conflict):
        await asynchronous.close("ETHUSDT", idempotency_key="of-before")


async def test_a_server_that_is_busy_says_for_how_long(double: Double) -> None:
    slept = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    door = Door(Address(double.url, TOKEN), 10, (0.25, 0.5), sleep)
    double.mishaps.extend([(429, {"Retry-After": "3"}, REMEDY), (503, {}, REMEDY)])
    await door.ask(Request(method="POST", path="/v1/closes", body=b'{"symbol":"E"}', idempotency_key="k"))
    assert slept == [3.0, 0.5]
    double.mishaps.append((429, {"Retry-After": "3600"}, REMEDY))
    with pytest.raises(Unavailable):
        await door.ask(Request(method="GET", path="/v1/closes/of-k"))
    assert slept == [3.0, 0.5]
    await door.disconnect()


@pytest.mark.parametrize(
    "told", ["not json", "[]", {"id": "a"}, {"id": "a", "plan_id": "p", "state": "new", "final": False}]
)
async def test_an_answer_that_is_no_close_is_none(
    double: Double, asynchronous: AsyncClient, told: Any
) -> None:
    double.mishaps.append((202, {}, told))
    with pytest.raises(BadAnswer):
        await asynchronous.close("ETHUSDT")


async def test_a_wish_is_sent_as_it_was_written(double: Double, asynchronous: AsyncClient) -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC)
    close = await asynchronous.close(
        "ETHUSDT", side="long", quantity=Decimal("1E-3"), reason="stop", expires_at=at
    )
    assert double.asked[0][3] == (
        b'{"symbol":"ETHUSDT","position_side":"LONG","quantity":"0.001","reason":"stop",'
        b'"expires_at":"2026-01-02T03:04:05.678Z"}'
    )
    assert close.quantity == Decimal("0.001")
    assert close.fraction is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"fraction": "0.5", "quantity": "1"},
        {"fraction": 0.5},
        {"quantity": True},
        {"side": "up"},
        {"expires_at": datetime(2026, 1, 1)},  # noqa: DTZ001 - that is what is wrong
    ],
)
async def test_what_can_not_be_meant_is_not_sent(
    double: Double, asynchronous: AsyncClient, wrong: Any
) -> None:
    with pytest.raises((ValueError, TypeError)):
        await asynchronous.close("ETHUSDT", **wrong)
    assert double.asked == []


@pytest.mark.parametrize("close_id", ["../closes", "a/b", "a b?c", "é"])
async def test_an_id_is_one_part_of_the_address(
    double: Double, asynchronous: AsyncClient, close_id: str
) -> None:
    asked = await asynchronous.close("ETHUSDT", intent_id=close_id)
    assert (await asynchronous.get(close_id)) == asked


def test_the_token_is_in_no_text_and_the_address_may_come_from_the_environment(
    double: Double, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SURECLOSE_URL", double.url)
    monkeypatch.setenv("SURECLOSE_TOKEN", TOKEN)
    with Client(retries=AT_ONCE) as client:
        close = client.close("ETHUSDT")
        assert repr(client) == f"Client(url='{double.url}')"
        assert TOKEN not in repr(vars(client)) + repr(vars(client._client)) + repr(close)
    with Client(token="another-token") as client, pytest.raises(Unauthorised) as caught:
        client.close("ETHUSDT")
    assert "another-token" not in f"{caught.value} {caught.value.problem}"


@pytest.mark.parametrize(
    ("url", "token"),
    [
        ("ftp://h", ""),
        ("127.0.0.1:1", ""),
        ("http://u:secret@h", ""),
        ("http://h?a=secret", ""),
        ("http://h", "secret\nX: y"),
        ("http://h", "secret é"),
    ],
)
def test_an_address_that_would_tell_or_lose_a_token_is_refused(url: str, token: str) -> None:
    with pytest.raises(ValueError) as caught:
        Client(url, token)
    assert "secret" not in str(caught.value)


async def test_many_calls_at_once_are_as_many_wishes(double: Double, asynchronous: AsyncClient) -> None:
    double.mishaps.extend(["after", "before"] * 3)
    closes = await asyncio.gather(*(asynchronous.close("ETHUSDT") for _ in range(20)))
    assert {one.id for one in closes} == set(double.closes)
    assert len(double.closes) == 20
