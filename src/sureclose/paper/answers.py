"""What a request is answered with: the reply, how it travels, and what a fault makes of both."""

from dataclasses import dataclass, field, replace
from enum import Enum

from sureclose.paper.errors import VenueError
from sureclose.paper.wire import encode

JSON = "application/json"
_HTML = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    b"<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>cloudfront</center>\r\n</body>\r\n</html>\r\n"
)


class Delivery(Enum):
    """How the bytes of a reply leave."""

    WHOLE = "whole"
    NOTHING = "the connection closes without a byte"
    HALF = "half of the text, framed as if it were all"
    CUT = "the frame of the whole and half of the text, then the connection is reset"
    THEN_CUT = "whole, then the connection is reset"
    SLOWLY = "whole, spread over `spread` ms"


@dataclass(frozen=True, slots=True)
class Reply:
    """`delay` and `spread` in ms; `code` is that of the JSON body, 0 if it has none.

    A reply belongs to one request: its door adds headers to it.
    """

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    code: int = 0
    content_type: str = JSON
    delivery: Delivery = Delivery.WHOLE
    delay: int = 0
    spread: int = 0


@dataclass(frozen=True, slots=True)
class Shape:
    """What a fault puts in place of a reply; what is None stays as it was."""

    status: int | None = None
    body: bytes | None = None
    code: int = 0
    content_type: str = JSON
    delivery: Delivery = Delivery.WHOLE

    def on(self, reply: Reply, ms: int) -> Reply:
        slowly = self.delivery is Delivery.SLOWLY
        timed = replace(
            reply,
            headers=dict(reply.headers),
            delivery=reply.delivery if self.delivery is Delivery.WHOLE else self.delivery,
            delay=reply.delay if slowly else reply.delay + ms,
            spread=ms if slowly else reply.spread,
        )
        if self.status is None or self.body is None:
            return timed
        return replace(
            timed, status=self.status, body=self.body, code=self.code, content_type=self.content_type
        )


def refused(refusal: VenueError) -> Reply:
    headers = {} if refusal.retry_after is None else {"Retry-After": str(refusal.retry_after)}
    return Reply(refusal.status, refusal.as_json(), headers, refusal.code)


def _error(status: int, code: int, text: str) -> Shape:
    return Shape(status, encode({"code": code, "msg": text}), code)


def _known(code: int) -> Shape:
    refusal = VenueError(code)
    return _error(refusal.status, code, refusal.message)


# The bodies of 503 are those of the reference: A unknown, B failure, C failure, D throttled.
AS_IT_IS = Shape()
DROPPED = Shape(delivery=Delivery.NOTHING)
UNKNOWN_503 = _error(503, -1000, "Unknown error, please check your request or try again later.")
UNAVAILABLE_503 = Shape(503, b"Service Unavailable.", content_type="text/plain")
INTERNAL_503 = _known(-1001)
THROTTLED_503 = _known(-1008)
EMPTY_408 = Shape(408, b"", content_type="text/plain")
TIMEOUT_1007 = _known(-1007)
UNEXPECTED_1006 = _known(-1006)
CUT = Shape(delivery=Delivery.CUT)
THEN_CUT = Shape(delivery=Delivery.THEN_CUT)
TRUNCATED = Shape(delivery=Delivery.HALF)
SLOW = Shape(delivery=Delivery.SLOWLY)
HTML_502 = Shape(502, _HTML, content_type="text/html")
HTML_200 = Shape(200, _HTML, content_type="text/html")

# Half of it is what a client sees of an answer that is cut off although nothing was executed.
PHANTOM = Reply(200, encode({"orderId": 0, "symbol": "", "status": "NEW", "clientOrderId": "", "price": "0"}))
UNKNOWN = UNKNOWN_503.on(PHANTOM, 0)
