"""A venue that can only be looked at: what a dry run is given in the place of the real one."""

from collections.abc import Callable
from typing import Final

from sureclose.venue.clock import steady_seconds, wall_ms
from sureclose.venue.environments import VenueSettings
from sureclose.venue.rest import BinanceRest
from sureclose.venue.secret import Credentials
from sureclose.venue.transport import Answer, Http, NotConnected

WHY: Final = "this is a dry run: nothing is sent"


class GetOnly(Http):
    """Sends GET and nothing else: at this venue no GET changes anything."""

    async def request(self, method: str, target: str, body: bytes | None = None) -> Answer:
        if method != "GET" or body is not None:
            raise NotConnected(WHY)
        return await super().request(method, target)


class WatchedRest(BinanceRest):
    """The account to read. Its connections carry no other method, whoever asks, so there is no way to an order.

    It gives way to whoever closes: the venue counts the weight of an address, not of a process.
    """

    def __init__(
        self,
        settings: VenueSettings,
        credentials: Credentials,
        *,
        wall: Callable[[], int] = wall_ms,
        steady: Callable[[], float] = steady_seconds,
    ) -> None:
        super().__init__(settings, credentials, wall=wall, steady=steady)
        self._client.transport = GetOnly
        self._client.only_observes = True
