"""The HTTP door as a client that knows nothing of us has it: requests, answers, events."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from tests.acceptance.world import token

MACHINE: Final = f"machine-{token()}{token()}"
PERSON: Final = f"person-{token()}{token()}"
READER: Final = f"reader-{token()}{token()}"
FINAL: Final = ("flat", "reduced", "refused", "skipped", "parked")


def _entry(name: str, secret: str, scopes: list[str], *, person: bool = False) -> str:
    digest = hashlib.sha256(secret.encode()).hexdigest()
    return f'{{name = "{name}", sha256 = "{digest}", scopes = {json.dumps(scopes)}, person = {str(person).lower()}}}'


SETTINGS: Final = {
    "HTTP__TOKEN": MACHINE,
    "HTTP__TOKENS": "["
    + ", ".join(
        [
            _entry("alice", PERSON, ["read", "close", "close_all"], person=True),
            _entry("reader", READER, ["read"]),
        ]
    )
    + "]",
}
"""Of a ``run``: a machine that may do all, a person as well, and somebody who may look."""


@dataclass(frozen=True)
class Answer:
    """One answer. ``document`` is its JSON."""

    status: int
    headers: Mapping[str, str]
    document: Any

    @property
    def kind(self) -> str:
        """Of a problem: the last part of its type."""
        assert self.headers["Content-Type"] == "application/problem+json", self
        assert self.document.keys() >= {"type", "title", "status", "detail"}
        assert self.document["status"] == self.status
        return str(self.document["type"]).removeprefix("/v1/docs#")


class Door:
    """The door of one process."""

    def __init__(self, address: str, session: aiohttp.ClientSession, secret: str = MACHINE) -> None:
        self.address = address
        self._session = session
        self._secret = secret

    def of(self, secret: str) -> "Door":
        """The same door, with another's token."""
        return Door(self.address, self._session, secret)

    async def ask(self, key: str | None = None, path: str = "/v1/closes", **body: Any) -> Answer:
        return await self.send("POST", path, key, json.dumps(body).encode())

    async def send(
        self, method: str, path: str, key: str | None = None, body: bytes | None = None, **headers: str
    ) -> Answer:
        sent = {"Authorization": f"Bearer {self._secret}"} if self._secret else {}
        if body is not None:
            sent["Content-Type"] = "application/json"
        if key is not None:
            sent["Idempotency-Key"] = key
        async with self._session.request(
            method, self.address + path, data=body, headers=sent | headers
        ) as answer:
            raw = await answer.read()
            return Answer(answer.status, answer.headers, json.loads(raw) if raw else None)

    async def get(self, close_id: str, wait: str = "") -> Answer:
        return await self.send("GET", f"/v1/closes/{close_id}" + (f"?wait={wait}" if wait else ""))

    async def outcome(self, close_id: str) -> Any:
        """The close, once it is final."""
        async with asyncio.timeout(60):
            while True:
                answer = await self.get(close_id, "5s")
                assert answer.status in {200, 503}, answer
                if answer.status == 200 and answer.document["final"]:
                    assert answer.document["state"] in FINAL
                    return answer.document

    async def events(self, close_id: str, last: str = "") -> AsyncIterator[tuple[str, Any]]:
        """Id and document of each event until the stream ends; a comment has no id and no document."""
        headers = {"Authorization": f"Bearer {self._secret}"} | ({"Last-Event-ID": last} if last else {})
        url = f"{self.address}/v1/closes/{close_id}/events"
        async with self._session.get(url, headers=headers) as answer:
            assert (answer.status, answer.content_type) == (200, "text/event-stream")
            event: dict[str, str] = {}
            async for raw in answer.content:
                line = raw.decode().rstrip("\n")
                if line.startswith(":"):
                    yield "", None
                elif line:
                    name, _, value = line.partition(": ")
                    event[name] = value
                elif "data" in event:
                    assert event["event"] == "close"
                    yield event["id"], json.loads(event["data"])
                    event = {}
