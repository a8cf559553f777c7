"""Signatures, secrets and addresses."""

import copy
import json
import logging
import pickle
from urllib.parse import parse_qsl

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sureclose.domain.words import Mode
from sureclose.venue.environments import VenueSettings, addresses
from sureclose.venue.rest import BinanceRest
from sureclose.venue.secret import Credentials, Secret
from sureclose.venue.signing import Signer, encode

HIDDEN = "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9"


def test_the_signature_is_the_documented_one() -> None:
    """Binance docs, SIGNED endpoint examples for USDS-M futures."""
    payload = "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000&timestamp=1591702613943"
    expected = "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9"
    signer = Signer(Secret(HIDDEN))
    assert signer.signature(payload) == expected
    assert signer.sign(parse_qsl(payload)) == f"{payload}&signature={expected}"


@given(
    st.lists(st.tuples(st.sampled_from(["a", "symbol"]), st.text(st.characters(codec="utf-8"))), min_size=1)
)
def test_what_is_encoded_is_decoded_to_the_same_and_is_plain_ascii(parameters: list[tuple[str, str]]) -> None:
    encoded = encode(parameters)
    assert encoded.isascii()
    assert " " not in encoded
    assert parse_qsl(encoded, keep_blank_values=True, strict_parsing=True) == parameters


def test_a_secret_shows_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret(HIDDEN)
    credentials = Credentials(secret, secret)
    venue = BinanceRest(VenueSettings(base_url="http://127.0.0.1:1"), credentials)
    logging.getLogger("test").warning("%s %r", credentials, secret)
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!r:>80}", f"{secret:>80}", "%s" % secret]  # noqa: UP031
    shown += [
        repr(credentials),
        str([secret]),
        str({"a": secret}),
        repr(venue),
        repr(vars(venue)),
        caplog.text,
    ]
    shown += [str(msgspec.structs.asdict(credentials))]
    assert not any(HIDDEN in text for text in shown)


def test_no_serializer_takes_a_secret() -> None:
    secret = Secret(HIDDEN)
    with pytest.raises(TypeError):
        json.dumps(secret)
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    for encode_it in (msgspec.json.encode, msgspec.msgpack.encode, msgspec.to_builtins):
        with pytest.raises(TypeError):
            encode_it(Credentials(secret, secret))
    with pytest.raises(TypeError):
        vars(secret)


def test_a_secret_is_itself_wherever_it_is_copied() -> None:
    secret = Secret(HIDDEN)
    assert copy.deepcopy(secret) is secret
    assert copy.copy(secret) is secret
    assert secret == Secret(HIDDEN)
    assert secret != HIDDEN
    assert len({secret, Secret(HIDDEN)}) == 1
    assert not Secret("")


@pytest.mark.parametrize("key", ["", "with space", "line\nbreak", "ключ"])
def test_a_malformed_key_is_refused_before_anything_is_sent_and_not_repeated_in_the_error(key: str) -> None:
    with pytest.raises(ValueError, match="SURECLOSE__VENUE__API_KEY") as caught:
        BinanceRest(VenueSettings(base_url="http://127.0.0.1:1"), Credentials(Secret(key), Secret(HIDDEN)))
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize("window", [99, 60_001, 0, -1])
def test_a_receive_window_out_of_range_is_refused(window: int) -> None:
    with pytest.raises(ValueError, match="recv_window_ms"):
        VenueSettings(recv_window_ms=window)


def test_the_defaults_are_those_of_the_design() -> None:
    settings = VenueSettings()
    assert (settings.environment, settings.base_url, settings.stream_url) == (Mode.PAPER, "", "")
    assert settings.recv_window_ms == 2000


def test_settings_come_from_a_table_and_unknown_keys_are_errors() -> None:
    settings = msgspec.convert({"environment": "demo", "recv_window_ms": 1500}, VenueSettings)
    assert (settings.environment, settings.recv_window_ms) == (Mode.DEMO, 1500)
    for table in (
        {"enviroment": "demo"},
        {"order_connections": 0},
        {"recv_window_ms": 1},
        {"environment": "prod"},
    ):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(table, VenueSettings)


@pytest.mark.parametrize("prefix", ["", "a:b", "a.b", "x" * 13, "é-"])
def test_a_prefix_is_what_a_client_order_id_may_begin_with(prefix: str) -> None:
    assert VenueSettings(client_order_id_prefix="-").client_order_id_prefix == "-"
    with pytest.raises(ValueError, match="client_order_id_prefix"):
        VenueSettings(client_order_id_prefix=prefix)


def test_each_environment_has_its_addresses() -> None:
    assert addresses(VenueSettings(environment=Mode.LIVE)).rest == "https://fapi.binance.com"
    assert addresses(VenueSettings(environment=Mode.DEMO)).rest == "https://demo-fapi.binance.com"
    with pytest.raises(ValueError, match="sureclose paper"):
        addresses(VenueSettings())


def test_the_stream_follows_an_overridden_address_but_not_the_exchanges_own() -> None:
    paper = addresses(VenueSettings(base_url="http://127.0.0.1:8080/"))
    assert (paper.rest, paper.stream) == ("http://127.0.0.1:8080", "ws://127.0.0.1:8080")
    older = addresses(VenueSettings(environment=Mode.DEMO, base_url="https://testnet.binancefuture.com"))
    assert older.stream == "wss://fstream.binancefuture.com"


@pytest.mark.parametrize(
    ("mode", "base", "stream"),
    [
        (Mode.DEMO, "https://fapi.binance.com", ""),
        (Mode.PAPER, "https://fapi.binance.com", ""),
        (Mode.DEMO, "", "wss://fstream.binance.com"),
        (Mode.LIVE, "https://testnet.binancefuture.com", ""),
        (Mode.LIVE, "https://demo-fapi.binance.com", ""),
        (Mode.LIVE, "", "wss://stream.binancefuture.com"),
        (Mode.LIVE, "http://fapi.example.com", ""),
        (Mode.DEMO, "http://10.0.0.1:8080", ""),
        (Mode.PAPER, "ftp://127.0.0.1", ""),
        (Mode.PAPER, "127.0.0.1:8080", ""),
        (Mode.PAPER, "http://127.0.0.1:8080/fapi", ""),
        (Mode.PAPER, "http://127.0.0.1:8080", "ws://127.0.0.1:8080/ws"),
        (Mode.PAPER, "http://key@127.0.0.1:8080", ""),
    ],
)
def test_environment_and_address_are_checked_against_each_other(mode: Mode, base: str, stream: str) -> None:
    with pytest.raises(ValueError, match="venue"):
        addresses(VenueSettings(environment=mode, base_url=base, stream_url=stream))
