"""Who knows a hook's secret is let in; who does not learns nothing. What could let anybody in does not start."""

import base64
import hmac
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp.test_utils import make_mocked_request

from sureclose.config import Config, ConfigError, load, need_secrets, shown
from sureclose.operate.api.hook_secrets import Hook, Hooks
from sureclose.services.settings_hooks import HookSettings, check_secrets

SECRET = "a-secret-of-the-hook"
BODY = json.dumps({"a": 1, "auth": {"key": SECRET}}).encode()
MAC = hmac.digest(SECRET.encode(), BODY, "sha256")


def found(secret_in: str, *, query: str = "", body: bytes = BODY, name: str = "tv", **headers: str) -> bool:
    hooks = Hooks(
        {"tv": HookSettings(secret=SECRET, secret_in=secret_in, symbol="$")}, "nobodys-secret-of-chance"
    )
    sent = {header.replace("_", "-"): value for header, value in headers.items()}
    request = make_mocked_request("POST", f"/v1/hooks/{name}{query}", headers=sent)
    return hooks.find(name, request, body) is not None


def test_the_secret_is_found_where_it_is_said_to_be() -> None:
    assert found("body:$.auth.key")
    assert found("query:key", query=f"?key={SECRET}")
    assert found("header:X-Key", X_Key=SECRET)
    assert found("header:Authorization", Authorization=f"Bearer {SECRET}")
    for signed in (MAC.hex(), MAC.hex().upper(), f"sha256={MAC.hex()}", base64.b64encode(MAC).decode()):
        assert found("hmac-sha256:X-Sign", X_Sign=signed)


@pytest.mark.parametrize("wrong", ["", SECRET[:-1], SECRET + "x", SECRET.upper(), "\u00e4"])
def test_anything_else_is_not_the_secret(wrong: str) -> None:
    assert not found("body:$.auth.key", body=json.dumps({"auth": {"key": wrong}}).encode())
    assert not found("query:key", query=f"?key={wrong}")
    assert not found("header:X-Key", X_Key=wrong)
    assert not found("hmac-sha256:X-Sign", X_Sign=wrong)


def test_a_secret_in_another_place_does_not_count() -> None:
    assert not found("header:X-Key")
    assert not found("query:key", X_Key=SECRET)
    assert not found("body:$.auth", query=f"?key={SECRET}")
    assert not found("hmac-sha256:X-Sign", X_Sign=SECRET)
    assert not found("query:key", query=f"?key={SECRET}&key={SECRET}")
    assert not found("hmac-sha256:X-Sign", body=BODY + b" ", X_Sign=MAC.hex())


def test_an_alert_is_read_without_its_secret_however_its_sender_escapes_it() -> None:
    secret = "a/secret/of-the-hook"
    hook = Hook("tv", HookSettings(secret=secret, secret_in="body:key", symbol="$.ticker"))
    said = json.dumps({"key": secret, "note": ["the " + secret, {secret: "is told"}], "ticker": "ä"})
    for body in (said, said.replace("/", "\\/"), said.replace("a/", "\\u0061\\u002f")):
        assert hook.read(body.encode()) == {"note": ["the ***", {"***": "is told"}], "ticker": "ä"}


def test_an_unknown_hook_has_no_secret() -> None:
    assert not found("query:key", name="nobody", query=f"?key={SECRET}&secret={SECRET}")
    assert not found("query:key", name="", query="?secret=")


# Settings ------------------------------------------------------------------------------------------------------------


def hook(**more: Any) -> HookSettings:
    parts: dict[str, Any] = {"secret": SECRET, "secret_in": "query:key", "symbol": "$"} | more
    return msgspec.convert(parts, HookSettings)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"secret": "short"}, "16 to 256"),
        ({"secret": "1234567890123456"}, "a letter"),
        ({"secret": 'has "quotes" and spaces'}, "16 to 256"),
        ({"secret_in": "body"}, "secret_in"),
        ({"secret_in": "body:$"}, "secret_in"),
        ({"secret_in": "cookie:x"}, "secret_in"),
        ({"secret_in": "header:not a header"}, "secret_in"),
        ({"symbol": "$.a b"}, "no place"),
        ({"fraction": "1", "quantity": "1"}, "can't both"),
        ({"identity": ["constant"]}, "the same in each alert"),
        ({"when": [{"path": "$.a", "accept": []}]}, "accept"),
        ({"when": [{"path": "a", "accept": ["x"]}]}, "no place"),
        ({"template": "no blank"}, "blank"),
        ({"template": "{a}", "each": "$.alerts"}, "each"),
        ({"max_age_s": 0}, "max_age_s"),
        ({"fractoin": "1"}, "fractoin"),
    ],
)
def test_a_mapping_that_can_not_be_meant_is_refused(more: dict[str, Any], why: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=why):
        hook(**more)


@pytest.mark.parametrize(
    ("more", "why"), [({"secret_in": ""}, "secret_in is"), ({"symbol": ""}, "a.symbol is not set")]
)
def test_a_hook_that_is_half_set_stops_who_takes_alerts_and_no_other_command(
    more: dict[str, Any], why: str
) -> None:
    """A stray variable of a hook must not stop `panic`."""
    with pytest.raises(ValueError, match=why):
        check_secrets({"a": hook(**more)})
    assert load([], {"SURECLOSE__HOOKS__STRAY__SECRET": SECRET}).hooks["stray"].secret == SECRET


def test_the_secret_comes_from_the_environment_from_a_file_or_from_the_configuration(tmp_path: Path) -> None:
    file, secret = tmp_path / "c.toml", tmp_path / "secret"
    secret.write_text(f"{SECRET}-of-a-file\n")
    file.write_text(f'[hooks.a]\nsymbol = "$"\nsecret_in = "query:key"\nsecret_file = "{secret}"\n')
    assert load([file], {}).hooks["a"].secret == f"{SECRET}-of-a-file"
    environment = {"SURECLOSE__HOOKS__A__SECRET": f"{SECRET}-of-the-environment"}
    assert load([file], environment).hooks["a"].secret == f"{SECRET}-of-the-environment"
    file.write_text(f'[hooks.a]\nsymbol = "$"\nsecret_in = "query:key"\nsecret = "{SECRET}"\n')
    config = load([file], {})
    assert config.hooks["a"].secret == SECRET
    assert SECRET not in str(shown(config))
    assert SECRET not in repr(config)


@pytest.mark.parametrize(
    ("text", "environment", "why"),
    [
        ("", {}, "has no secret"),
        ('secret_file = "/nowhere"', {}, "secret_file"),
        ("", {"SURECLOSE__HOOKS__A": "x"}, "hooks"),
        ("", {"SURECLOSE__HOOKS__A____SECRET": SECRET}, "not of the form"),
    ],
)
def test_a_hook_without_a_secret_is_no_configuration(
    tmp_path: Path, text: str, environment: dict[str, str], why: str
) -> None:
    file = tmp_path / "c.toml"
    file.write_text(f'[hooks.a]\nsymbol = "$"\nsecret_in = "query:key"\n{text}\n')
    with pytest.raises(ConfigError, match=why):
        need_secrets(load([file], environment))


@pytest.mark.parametrize("name", ["", "A", "a b", "a__b", "a-b", "a/b", "a" * 65, "-a"])
def test_a_hook_is_called_what_an_address_and_a_variable_can_hold(name: str) -> None:
    with pytest.raises(ValueError, match="can't be called"):
        Config(hooks={name: hook()})
