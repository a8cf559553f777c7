"""Tokens: told apart by their digests, and shown nowhere."""

import hashlib

import msgspec
import pytest

from sureclose.config import Config, load, shown
from sureclose.operate.api.tokens import Tokens, mint
from sureclose.services.settings import HttpSettings
from sureclose.services.settings_tokens import DEFAULT_TOKEN, Scope, TokenSettings

SECRET = "a-secret-of-somebody"


def _named(name: str = "bot", secret: str = SECRET, **more: object) -> TokenSettings:
    digest = hashlib.sha256(secret.encode()).hexdigest()
    return msgspec.convert({"name": name, "sha256": digest, **more}, TokenSettings)


def test_a_minted_token_is_the_one_that_its_settings_know() -> None:
    minted = mint("alice", [Scope.CLOSE], person=True)
    known = Tokens(HttpSettings(tokens=(minted.settings, _named())))
    found = known.find(minted.secret)
    assert found is not None
    assert (found.name, found.scopes, found.person) == ("alice", frozenset({Scope.CLOSE}), True)
    assert known.find(minted.secret + "x") is None
    assert known.find("") is None
    assert minted.secret not in repr(minted)
    assert mint("alice", [Scope.CLOSE], person=True).secret != minted.secret


def test_the_token_of_the_settings_is_a_machine_with_every_scope() -> None:
    found = Tokens(HttpSettings(token=SECRET)).find(SECRET)
    assert found is not None
    assert (found.name, found.scopes, found.person) == (DEFAULT_TOKEN, frozenset(Scope), False)


def test_without_tokens_there_are_none() -> None:
    assert not Tokens(HttpSettings())
    assert Tokens(HttpSettings()).find("") is None


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"tokens": [{"name": "a b", "sha256": "0" * 64}]}, "letters, digits"),
        ({"tokens": [{"name": "a", "sha256": "secret"}]}, "64 lower-case hex digits"),
        ({"tokens": [{"name": "a", "sha256": "0" * 64, "scopes": []}]}, "has no scopes"),
        ({"tokens": [{"name": "a", "sha256": "0" * 64, "scopes": ["all"]}]}, "Invalid enum value 'all'"),
        ({"tokens": [{"name": "a", "sha256": c * 64} for c in "01"]}, "two tokens are called a"),
        ({"tokens": [{"name": n, "sha256": "0" * 64} for n in "ab"]}, "the same sha256"),
        ({"token": SECRET, "tokens": [{"name": "default", "sha256": "0" * 64}]}, "called default"),
        ({"token": "two words"}, "printable ASCII"),
        ({"rate_per_s": 0}, "at least 1"),
        ({"max_body_bytes": 10}, "from 1024"),
    ],
)
def test_a_configuration_that_could_not_work_is_refused_with_the_reason(
    settings: dict[str, object], said: str
) -> None:
    with pytest.raises(msgspec.ValidationError, match=said):
        msgspec.convert(settings, HttpSettings)


def test_tokens_may_come_from_the_environment_and_are_not_shown() -> None:
    named = _named()
    config = load(
        (),
        {
            "SURECLOSE__HTTP__TOKEN": SECRET + "2",
            "SURECLOSE__HTTP__TOKENS": f'[{{name = "bot", sha256 = "{named.sha256}", scopes = ["read"]}}]',
        },
    )
    assert isinstance(config, Config)
    assert config.http.tokens == (msgspec.structs.replace(named, scopes=(Scope.READ,)),)
    text = repr(shown(config))
    assert SECRET not in text
    assert named.sha256 not in text
    assert "bot" in text
