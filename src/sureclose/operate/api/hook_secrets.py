"""Who posts an alert: a hook's name and its secret, looked at so that nobody learns which of the two was wrong."""

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from typing import Final

from aiohttp import web

from sureclose.domain.alert import AlertUnreadable, Missing, Place, Template, Tree, read_alert, wording
from sureclose.services.settings_hooks import Carrier, HookSettings
from sureclose.venue.secret import MASK

_HEX: Final = re.compile(r"[0-9a-fA-F]{64}")
_BEARER: Final = "bearer "
_SHA256: Final = "sha256="
_ANYWHERE: Final = Place.parse("$.secret")


class Hook:
    """A sender, with what its settings are read for each time."""

    def __init__(self, name: str, settings: HookSettings) -> None:
        self.name = name
        self.settings = settings
        self.carrier = settings.carrier
        self.template = Template.parse(settings.template) if settings.template else None

    def read(self, raw: bytes) -> Tree:
        """The alert as it may be recorded: without its secret, wherever it stands and however it is escaped.

        Raises ``AlertUnreadable``.
        """
        secret = self.settings.secret
        tree = read_alert(raw.replace(secret.encode(), MASK.encode()), self.template)
        # No character that a secret may have is escaped in a wording of ours.
        tree = json.loads(wording(tree).replace(secret, MASK))
        place = self.carrier.place
        return tree if place is None else place.removed_from(tree)

    def is_secret_in(self, raw: bytes) -> bool:
        """Whether the body has the secret, where it has to stand in it."""
        return hmac.compare_digest(_digest(_in_body(self, raw)), _digest(self.settings.secret))


class Hooks:
    """The configured ones. An unknown name costs the work of a known one whose secret was wrong."""

    def __init__(self, hooks: Mapping[str, HookSettings], decoy: str) -> None:
        self._known = {name: Hook(name, settings) for name, settings in hooks.items()}
        nobody = HookSettings(secret=decoy, secret_in="body:secret", symbol="$")  # noqa: S106 - where it would stand
        self._nobody = Hook("", nobody)
        """Its secret is a chance of this process, and told to nobody."""

    def find(self, name: str, request: web.Request, raw: bytes) -> Hook | None:
        """The hook of that name, if the request comes with its secret."""
        hook = self._known.get(name, self._nobody)
        secret = hook.settings.secret.encode()
        carrier = hook.carrier
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
            matches = hmac.compare_digest(_digest(given[carrier.carrier]), _digest(hook.settings.secret))
        return hook if matches and hook is not self._nobody else None


def _in_body(hook: Hook, raw: bytes) -> str:
    """Looked for whatever the carrier is, so that all requests cost the same; only where it is the body is it asked for."""
    place = hook.carrier.place or _ANYWHERE
    found = _text_at(place, raw, None)
    return found if hook.template is None else _text_at(place, raw, hook.template)


def _text_at(place: Place, raw: bytes, template: Template | None) -> str:
    try:
        return place.text_in(read_alert(raw, template))
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
