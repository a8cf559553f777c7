"""A close as a stream of server-sent events: each state as it comes, until none follows."""

from typing import Final

import msgspec
from aiohttp import web

from sureclose.domain.ids import digest
from sureclose.operate.api.problems import Kind, Problem
from sureclose.operate.api.reading import unknown_close
from sureclose.operate.api.waiting import Waiting
from sureclose.operate.api.wishes import log_answers
from sureclose.operate.closes import CloseView

MEDIA: Final = "text/event-stream"
_LONGEST_S: Final = 900.0
"""After that the client asks again, which shows that it is still there."""
_BEAT_S: Final = 10.0
_AGAIN_MS: Final = 1_000
_HEADERS: Final = {"Cache-Control": "no-store", "Content-Type": MEDIA, "X-Accel-Buffering": "no"}


async def stream(request: web.Request, waiting: Waiting, wanted: str) -> web.StreamResponse:
    """Answer with the events. Raises ``Problem`` before the first of them, and ends the stream after it."""
    seen = request.headers.get("Last-Event-ID", "")
    response: web.StreamResponse | None = None
    try:
        with waiting.seat():
            async with log_answers("the log does not answer, so nothing is known of the close"):
                async for view in waiting.looks(wanted, _LONGEST_S, _BEAT_S):
                    if response is None:
                        response = await _begun(request)
                    if request.method == "HEAD":
                        return response
                    name = "" if view is None else _name(view)
                    if view is None or name == seen:
                        await response.write(b": beat\n\n")
                        continue
                    seen = name
                    await response.write(
                        b"id: %b\nevent: %b\ndata: %b\n\n"
                        % (name.encode(), b"close", msgspec.json.encode(view))
                    )
    except ConnectionError:
        if response is None:
            raise
        return response  # whoever listened has gone
    except Problem as problem:
        if response is None or problem.kind is not Kind.LOG_UNAVAILABLE:
            raise
        await response.write(b": the log does not answer; ask again\n\n")
    if response is None:
        raise unknown_close()
    await response.write_eof()
    return response


async def _begun(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers=_HEADERS)
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    await response.write(b"retry: %d\n\n" % _AGAIN_MS)
    return response


def _name(view: CloseView) -> str:
    """The event's id: of the same state always the same, so that who comes back is not told it again."""
    return digest("event", msgspec.json.encode(view).decode())[:16]
