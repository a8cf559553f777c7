"""What the clients of the HTTP door send: good wishes, their repeats, absurd ones, unauthorised ones, and looks."""

import json
import random
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from benchmarks.http_clients import Shot
from benchmarks.market import Held


class Sort(StrEnum):
    """The sorts of requests, and with what they are answered."""

    GOOD = "good"
    REPEAT = "repeat"
    ABSURD = "absurd"
    UNAUTHORISED = "unauthorised"
    LOOK = "look"


SHARES: Final = {
    Sort.GOOD: 0.15,
    Sort.REPEAT: 0.25,
    Sort.ABSURD: 0.20,
    Sort.UNAUTHORISED: 0.25,
    Sort.LOOK: 0.15,
}
ANSWERS: Final = {
    Sort.GOOD: {202},
    Sort.REPEAT: {202},
    Sort.ABSURD: {400, 413, 422},
    Sort.UNAUTHORISED: {401, 403, 429},
    Sort.LOOK: {200, 404},
}
UNKNOWN: Final = 503
"""Where the log is slow any request may be answered so; a client repeats it, and so does the bench in the end."""
_ABSURD: Final = (
    '{"symbol": "ETHUSDT", "fraction": 25}',
    '{"symbol": "ETHUSDT", "quantity": -1}',
    '{"symbol": "ETHUSDT", "quantity": "1e-400"}',
    '{"symbol": "ETHUSDT", "expires_at": "2020-01-01T00:00:00Z"}',
    '{"symbol": "ETHUSDT", "mode": "live"}',
    '{"symbol": "ETHUSDT", "size": 1}',
    '{"symbol": "ETHUSDT"',
    '{"symbol": "' + "A" * 70_000 + '"}',
)


class Wish(msgspec.Struct, frozen=True):
    """A good one: a part of one position."""

    key: str
    symbol: str
    quantity: Decimal

    @property
    def body(self) -> str:
        return json.dumps({"symbol": self.symbol, "quantity": f"{self.quantity:f}"})


class Request(msgspec.Struct, frozen=True):
    """One request to be, and the wish that it is about."""

    sort: Sort
    shot: Shot
    wish: Wish | None = None


class Mix:
    """A plan by chance, the same for the same seed. Each wish is for one tenth of a position, and none for more than all."""

    def __init__(self, positions: list[Held], *, token: str, doors: int, seed: int, run: str) -> None:
        self._token = token
        self._doors = doors
        self._run = run
        self._chance = random.Random(seed)
        self._positions = positions
        self._wishes: list[Wish] = []

    @property
    def wishes(self) -> list[Wish]:
        """All good ones so far."""
        return self._wishes

    def requests(self, per_s: int, seconds: float) -> list[Request]:
        """In the order of their times."""
        count = round(per_s * seconds)
        sorts = self._chance.choices(list(SHARES), list(SHARES.values()), k=count)
        return [self._request(sort, number / per_s) for number, sort in enumerate(sorts)]

    def _request(self, sort: Sort, at_s: float) -> Request:
        if sort in {Sort.REPEAT, Sort.LOOK} and not self._wishes:
            sort = Sort.GOOD
        match sort:
            case Sort.GOOD:
                wish = self._wish()
                return Request(sort, self._shot(at_s, wish.body, wish.key), wish)
            case Sort.REPEAT:
                wish = self._chance.choice(self._wishes[-200:])
                return Request(sort, self._shot(at_s, wish.body, wish.key), wish)
            case Sort.ABSURD:
                key = f"{self._run}-absurd-{self._chance.getrandbits(64):x}"
                return Request(sort, self._shot(at_s, self._chance.choice(_ABSURD), key))
            case Sort.UNAUTHORISED:
                token = self._chance.choice(("", "nobody's", self._token + "x", self._token[:-1]))
                wish = self._wish_of_nobody()
                return Request(sort, self._shot(at_s, wish.body, wish.key, token))
            case Sort.LOOK:
                return Request(
                    sort, self._look(at_s, self._chance.choice(("nobody", "closes%2F..", "a" * 200)))
                )

    def _wish(self) -> Wish:
        number = len(self._wishes)
        held = self._positions[number % len(self._positions)]
        wish = Wish(f"{self._run}-{number}", held.symbol, abs(Decimal(held.amount)) / 10)
        self._wishes.append(wish)
        return wish

    def _wish_of_nobody(self) -> Wish:
        held = self._chance.choice(self._positions)
        return Wish(
            f"{self._run}-nobody-{self._chance.getrandbits(64):x}", held.symbol, abs(Decimal(held.amount))
        )

    def _shot(self, at_s: float, body: str, key: str, token: str | None = None) -> Shot:
        secret = self._token if token is None else token
        lines = [
            "POST /v1/closes HTTP/1.1",
            "Host: door",
            *([f"Authorization: Bearer {secret}"] if secret else []),
            "Content-Type: application/json",
            f"Idempotency-Key: {key}",
            f"Content-Length: {len(body)}",
        ]
        return Shot(at_s, self._chance.randrange(self._doors), "\r\n".join([*lines, "", body]))

    def _look(self, at_s: float, wanted: str) -> Shot:
        lines = [
            f"GET /v1/closes/{wanted} HTTP/1.1",
            "Host: door",
            f"Authorization: Bearer {self._token}",
            "",
            "",
        ]
        return Shot(at_s, self._chance.randrange(self._doors), "\r\n".join(lines))
