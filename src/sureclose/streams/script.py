"""Lua scripts by their digest."""

import hashlib

from redis.exceptions import NoScriptError

from sureclose.streams.wire import Wire


class Script:
    """A script called by its digest, loaded when the server does not know it.

    A call answered with NOSCRIPT was not executed, so it is the one call that may be repeated blindly. Everything else
    that fails is the caller's to judge.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()

    async def call(self, wire: Wire, keys: list[str], args: list[bytes | str | int]) -> object:
        try:
            return await wire.execute_command(b"EVALSHA", self.digest, len(keys), *keys, *args)
        except NoScriptError:
            await wire.execute_command(b"SCRIPT", b"LOAD", self.source)
            return await wire.execute_command(b"EVALSHA", self.digest, len(keys), *keys, *args)
