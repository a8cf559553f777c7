"""``python -m tests.matrix``: all crashes, all pairs, and ``docs/crash-matrix.md``; exit 1 when one does not converge."""

import argparse
import asyncio
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sureclose.streams.embedded import EmbeddedServer
from tests.matrix.page import PAGE, Pairs, page
from tests.matrix.rows import pairs_of, singles
from tests.matrix.running import Crash, Played, Playground
from tests.matrix.stories import Story

ROUND: Final = 120
"""Stories of one exchange: its books grow, and are read again with each."""


@dataclass(frozen=True)
class Wanted:
    """What was asked for on the command line."""

    words: Sequence[str]
    pairs: int | None
    seed: int
    at_once: int


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__)
    parser.add_argument("words", nargs="*", help="only first crashes at points with one of these; no page")
    parser.add_argument("--pairs", type=int, help="so many pairs, drawn by the seed; all by default")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=30, help="stories under way; fewer on a busy machine")
    asked = parser.parse_args()
    wanted = Wanted(asked.words, asked.pairs, asked.seed, asked.at_once)
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="sureclose-matrix-"))
    found, pairs = asyncio.run(_played(wanted, folder))
    failed = [one for one in found if one.wrong or one.missed] + pairs.failed
    for one in failed:
        sys.stderr.write(f"FAILED {one.trace}\n")
    sys.stderr.write(
        f"{len(found)} crashes, {len(pairs.played)} pairs of {pairs.reachable}, {len(failed)} failed, "
        f"{time.monotonic() - began:.0f} s\n"
    )
    if failed:
        sys.stderr.write(f"what the processes said is kept in {folder}\n")
    else:
        shutil.rmtree(folder)
    if not wanted.words:
        PAGE.write_text(page(PAGE.read_text(), found, pairs))
    return 1 if failed else 0


async def _played(wanted: Wanted, folder: Path) -> tuple[list[Played], Pairs]:
    """Being told to end ends the processes too."""
    this = asyncio.current_task()
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    server = EmbeddedServer(folder / "log")
    await server.start()
    try:
        chosen = [
            (story, (crash,))
            for story, crash in singles()
            if not wanted.words or any(word in crash.point for word in wanted.words)
        ]
        found = await _rounds("crash", chosen, server.tcp_url, folder, wanted.at_once)
        reachable = [pair for one in _first_of_each(found) for pair in pairs_of(one)]
        drawn = reachable
        if wanted.pairs is not None and wanted.pairs < len(reachable):
            drawn = random.Random(wanted.seed).sample(reachable, wanted.pairs)
        played = await _rounds("pair", drawn, server.tcp_url, folder, wanted.at_once)
        return found, Pairs(len(reachable), played, wanted.seed)
    finally:
        await server.stop()


def _first_of_each(found: Sequence[Played]) -> list[Played]:
    return list({one.crashes[0].point: one for one in reversed(found)}.values())[::-1]


async def _rounds(
    what: str, chosen: Sequence[tuple[Story, tuple[Crash, ...]]], log_url: str, folder: Path, at_once: int
) -> list[Played]:
    """Some at once, on an exchange of its own for every round."""
    played: list[Played] = []
    for start in range(0, len(chosen), ROUND):
        here = folder / f"{what}-{start}"
        async with Playground(log_url, here, at_once) as ground:
            tasks = [asyncio.create_task(ground.play(*one)) for one in chosen[start : start + ROUND]]
            for task in tasks:
                played.append(await task)
                verdict = "FAIL" if played[-1].wrong else "none" if played[-1].missed else "ok"
                sys.stderr.write(f"{verdict:4} {len(played):4}/{len(chosen)} {played[-1].name}\n")
        if not any(one.wrong for one in played[start:]):
            shutil.rmtree(here)
    return played


if __name__ == "__main__":
    sys.exit(main())
