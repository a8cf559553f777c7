"""Idempotency-Keys: each belongs to the first request that came with it, for longer than any intent lives."""

from sureclose.journal.asking import KEPT_MS
from sureclose.journal.keys import Keys
from sureclose.streams.wire import Wire


async def claim(wire: Wire, keys: Keys, name: str, request: str) -> str:
    """The request that the key belongs to: this one, unless another came before.

    It is claimed before anything is asked for. Who dies in between leaves a key of a request that nothing came of yet, and
    the same request again goes on from there.
    """
    found = await wire.execute_command(b"SET", keys.idempotency(name), request, b"NX", b"GET", b"PX", KEPT_MS)
    return request if found is None else found.decode()


async def claimed(wire: Wire, keys: Keys, name: str) -> str | None:
    """The request that the key belongs to, if it belongs to one."""
    found = await wire.execute_command(b"GET", keys.idempotency(name))
    return None if found is None else found.decode()
