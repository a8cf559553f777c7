"""``python -m tests.chaos --minutes 10 --seed 1``: exit 1 when a close has two effects, none, or is parked."""

import argparse
import asyncio
import json
import shutil
import signal
import sys
import tempfile
from decimal import Decimal
from pathlib import Path

import structlog
import uvloop

from tests.chaos.report import PAGE, Report, table, write
from tests.chaos.running import GAP_S, RATE, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--gap", type=float, default=GAP_S, help="seconds between two acts, on average")
    parser.add_argument("--rate", type=Decimal, default=RATE, help="of each fault of the exchange")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--page", action="store_true", help="put the run's row into docs/chaos.md")
    parser.add_argument("--keep", action="store_true", help="records and logs of a run that held, too")
    asked = parser.parse_args()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    folder = Path(tempfile.mkdtemp(prefix=f"sureclose-chaos-{asked.seed}-"))
    report = uvloop.run(_run(folder, asked))
    found = report.as_dict()
    sys.stdout.write((json.dumps(found) if asked.json else table(found)) + "\n")
    if asked.page:
        write(found)
        sys.stderr.write(f"the row of seed {asked.seed} is in {PAGE}\n")
    if found["violations"] or asked.keep:
        (folder / "report.json").write_text(json.dumps(found))
        sys.stderr.write(f"acts, records, journal and what the processes said are in {folder}\n")
    else:
        shutil.rmtree(folder)
    return 1 if found["violations"] else 0


async def _run(folder: Path, asked: argparse.Namespace) -> Report:
    """Being told to end ends the processes too."""
    this = asyncio.current_task()
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    return await run(
        folder, seconds=asked.minutes * 60, seed=asked.seed, gap_s=asked.gap, rate=asked.rate, aloud=True
    )


if __name__ == "__main__":
    sys.exit(main())
