"""``python -m tests.faults``: plays all scenarios and writes ``docs/faults.md``; exit 1 when one does not hold."""

import argparse
import asyncio
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from sureclose.streams.embedded import EmbeddedServer
from tests.faults.cases import ALL
from tests.faults.page import PAGE, page
from tests.faults.running import Plays
from tests.faults.scenario import Scenario
from tests.faults.staging import Shown


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("words", nargs="*", help="play only scenarios whose name has one of these; no page")
    chosen = parser.parse_args().words
    scenarios = [one for one in ALL if not chosen or any(word in one.name for word in chosen)]
    if not scenarios:
        parser.error(f"no scenario has {' or '.join(chosen)} in its name")
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="sureclose-faults-"))
    shown = asyncio.run(_played(scenarios, folder))
    failed = [one for one in shown if one.wrong]
    for one in failed:
        sys.stderr.write("\n".join([f"FAILED {one.scenario.name}", *one.wrong, one.trace, ""]) + "\n")
    sys.stderr.write(f"{len(shown)} scenarios, {len(failed)} failed, {time.monotonic() - began:.0f} s\n")
    if failed:
        sys.stderr.write(f"what the processes said is kept in {folder}\n")
    else:
        shutil.rmtree(folder)
    if not chosen:
        PAGE.write_text(page(shown))
    return 1 if failed else 0


async def _played(scenarios: Sequence[Scenario], folder: Path) -> list[Shown]:
    """Being told to end ends the processes too."""
    this = asyncio.current_task()
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    server = EmbeddedServer(folder / "log")
    await server.start()
    try:
        async with Plays(scenarios, server.tcp_url, folder) as plays:
            shown = []
            for name, task in plays.tasks.items():
                shown.append(await task)
                sys.stderr.write(f"{'FAIL' if shown[-1].wrong else 'ok':4} {name}\n")
            return shown
    finally:
        await server.stop()


if __name__ == "__main__":
    sys.exit(main())
