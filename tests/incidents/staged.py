"""A deployment of one incident's own, with nothing running yet."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from tests.acceptance.world import QUICK, world
from tests.faults.watching import watching
from tests.incidents.plays import Stage


@asynccontextmanager
async def staged(log_url: str, folder: Path, settings: Mapping[str, str] = QUICK) -> AsyncIterator[Stage]:
    """A failure inside the block tells everything that is known of its plans."""
    async with world(log_url, folder, settings) as opened, watching(opened) as watch:
        stage = Stage(opened, watch, folder)
        try:
            yield stage
        except Exception as error:
            error.add_note(await stage.told())
            raise
