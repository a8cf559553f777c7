"""Who posts an alert: a hook's name and its secret, looked at so that nobody learns which of the two was wrong."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Final

import msgspec
from aiohttp import web

from sureclose.domain.alert import AlertUnreadable, Missing, Template, Tree, read_alert
from sureclose.services.settings_hooks import Carrier, HookSettings
from sureclose.venue.secret import MASK

_HEX: Final = re.compile(r"[0-9a-fA-F]{64}")
_BEARER: Final = "bearer "
_SHA256: Final = "sha256="


class Hook(msgspec.Struct, frozen=True):
    """A sender that was recognised."""

    name: str
    settings: HookSettings

    @property
    def template(self) -> Template | None:
        return Template.parse(self.settings.template) if self.settings.template else None

    def read(self, raw: bytes) -> Tree:
        """The alert as it may be recorded: without its secret, wherever it stands. Raises ``AlertUnreadable``."""
        tree = read_alert(raw.replace(self.settings.secret.encode(), MASK.encode()), self.template)
        place = self.settings.carrier.place
        return tree if place is None else place.removed_from(tree)

    def is_secret_in(self, raw: bytes) -> bool:
        """Whether the body has the secret, where it has to stand in it."""
        return hmac.compare_digest(_digest(_in_body(self, raw)), _digest(self.settings.secret))


class Hooks:
    """The configured ones. An unknown name costs the work of a known one whose secret was wrong."""

    def __init__(self, hooks: Mapping[str, HookSettings], decoy: str) -> None:
        self._known = {name: Hook(name, settings) for name, settings in hooks.items()}
        nobody = HookSettings(secret=decoy, secret_in="query:secret", symbol="$")  # noqa: S106 - where it would stand
        self._nobody = Hook("", nobody)
        """Its secret is a chance of this process, and told to nobody."""

    def find(self, name: str, request: web.Request, raw: bytes) -> Hook | None:
        """The hook of that name, if the request comes with its secret."""
        hook = self._known.get(name, self._nobody)
        secret = hook.settings.secret.encode()
        carrier = hook.settings.carrier
        mac = hmac.digest(secret, raw, "sha256")
        header = _one(request.headers.getall(carrier.name, []))
        given = {
            Carrier.BODY: _in_body(hook, raw),
            Carrier.QUERY: _one(request.query.getall(carrier.name, [])),
            Carrier.HEADER: _bare(_BEARER, header),
        }
        signed = _mac_of(_bare(_SHA256, header))
        if carrier.carrier is Carrier.HMAC_SHA256:
            matches = hmac.compare_digest(signed, mac)
        else:
            matches = hmac.compare_digest(_digest(given[carrier.carrier]), hashlib.sha256(secret).digest())
        return hook if matches and hook is not self._nobody else None


def _in_body(hook: Hook, raw: bytes) -> str:
    """Read whatever the carrier is, so that all requests cost the same."""
    place = hook.settings.carrier.place
    try:
        tree = read_alert(raw, hook.template)
        return "" if place is None else place.text_in(tree)
    except (AlertUnreadable, Missing):
        return ""


def _one(found: list[str]) -> str:
    """Two of them are none: it would be in doubt which one counts."""
    return found[0] if len(found) == 1 else ""


def _bare(scheme: str, text: str) -> str:
    """Without the word that may stand before it."""
    return (text[len(scheme) :] if text.lower().startswith(scheme) else text).strip()


def _mac_of(text: str) -> bytes:
    if _HEX.fullmatch(text):
        return bytes.fromhex(text)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="backslashreplace")).digest()
