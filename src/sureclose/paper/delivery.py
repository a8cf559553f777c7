"""How a reply leaves by HTTP, whole or not."""

import asyncio
import socket
import struct
from http import HTTPStatus

from aiohttp import web

from sureclose.paper.answers import Delivery, Reply

_PIECES = 16
_NO_LINGER = struct.pack("ii", 1, 0)


async def deliver(request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
    """The response, or one that nobody gets any more because the connection is gone."""
    if reply.delay:
        await asyncio.sleep(reply.delay / 1000)
    match reply.delivery:
        case Delivery.WHOLE:
            return whole(reply)
        case Delivery.HALF:
            return _response(reply, reply.body[: len(reply.body) // 2])
        case Delivery.SLOWLY:
            return await _slowly(request, reply)
        case Delivery.NOTHING:
            if request.transport is not None:
                request.transport.abort()
        case Delivery.CUT:
            write_and_reset(request.transport, _head(reply) + reply.body[: len(reply.body) // 2])
        case Delivery.THEN_CUT:
            write_and_reset(request.transport, _head(reply) + reply.body)
    return web.Response(status=503)


def whole(reply: Reply) -> web.Response:
    return _response(reply, reply.body)


def write_and_reset(transport: asyncio.Transport | None, data: bytes) -> None:
    """Send the bytes, then reset the connection: the peer reads them and then an error, not an end."""
    if transport is None or transport.is_closing():
        return
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.write(data)
    transport.close()


async def _slowly(request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
    response = web.StreamResponse(status=reply.status, headers=reply.headers)
    response.content_type = reply.content_type
    response.content_length = len(reply.body)
    await response.prepare(request)
    for number in range(_PIECES):
        begin, end = (len(reply.body) * index // _PIECES for index in (number, number + 1))
        await response.write(reply.body[begin:end])
        await asyncio.sleep(reply.spread / 1000 / _PIECES)
    await response.write_eof()
    return response


def _response(reply: Reply, body: bytes) -> web.Response:
    return web.Response(
        status=reply.status, body=body, headers=reply.headers, content_type=reply.content_type
    )


def _head(reply: Reply) -> bytes:
    """Status line and headers as aiohttp would send them, with the length of the whole body."""
    headers = {
        "Content-Type": reply.content_type,
        "Content-Length": str(len(reply.body)),
        **reply.headers,
    }
    lines = [f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
