import pytest

from sureclose.paper.errors import VenueError
from sureclose.paper.params import Params
from sureclose.paper.signature import (
    check_signature,
    check_window,
    hexdigest,
    payloads_of_json,
    payloads_of_wire,
)

SECRET = "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9"
PAYLOAD = "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000&timestamp=1591702613943"
SIGNATURE = "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9"


def accepts(query: str, body: str, *, strict: bool = False) -> bool:
    try:
        check_signature(Params.of_wire(query, body), SECRET, payloads_of_wire(query, body, strict=strict))
    except VenueError as refusal:
        return refusal.code != -1022
    return True


def test_the_published_vector_is_reproduced() -> None:
    assert hexdigest(SECRET, PAYLOAD) == SIGNATURE


@pytest.mark.parametrize("signature", [SIGNATURE, SIGNATURE.upper()])
def test_the_signature_counts_in_query_or_body_and_in_either_case(signature: str) -> None:
    assert accepts(f"{PAYLOAD}&signature={signature}", "")
    assert accepts("", f"{PAYLOAD}&signature={signature}")
    assert accepts(f"signature={signature}&{PAYLOAD}", "")
    assert not accepts(f"{PAYLOAD}&signature={signature[:-1]}0", "")


def test_query_and_body_are_joined_by_nothing() -> None:
    half = "symbol=BTCUSDT&side=BUY"
    rest = "type=MARKET&quantity=1"
    assert accepts(half, f"{rest}&signature={hexdigest(SECRET, half + rest)}")
    assert not accepts(half, f"{rest}&signature={hexdigest(SECRET, f'{half}&{rest}')}")


def test_the_decoded_form_counts_unless_strict() -> None:
    decoded = "newClientOrderId=fc:a/b"
    wire = f"newClientOrderId=fc%3Aa%2Fb&signature={hexdigest(SECRET, decoded)}"
    assert accepts("", wire)
    assert not accepts("", wire, strict=True)


def test_websocket_requests_are_signed_over_sorted_parameters() -> None:
    params = {"timestamp": 1, "symbol": "BTCUSDT", "reduceOnly": True, "apiKey": "k", "signature": "x"}
    assert payloads_of_json(params)[0] == "apiKey=k&reduceOnly=true&symbol=BTCUSDT&timestamp=1"


@pytest.mark.parametrize(
    ("timestamp", "window", "code"),
    [
        (1_000_999, "5000", 0),
        (1_001_000, "5000", -1021),
        (995_000, "5000", 0),
        (994_999, "5000", -1021),
        (994_999, "6000", 0),
        (1_000_000, "60001", -1131),
        (1_000_000, "0", -1130),
        (1_000_000, "x", -1100),
    ],
)
def test_a_request_counts_until_recv_window_is_over_and_at_most_a_second_ahead(
    timestamp: int, window: str, code: int
) -> None:
    params = Params({"timestamp": str(timestamp), "recvWindow": window})
    if not code:
        check_window(params, 1_000_000)
        return
    with pytest.raises(VenueError) as refusal:
        check_window(params, 1_000_000)
    assert refusal.value.code == code
