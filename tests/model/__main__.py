"""``python -m tests.model``: searches the bounds and says what was found. Exit 1 when a law does not hold."""

import argparse
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import msgspec

from tests.model.configurations import FULL, SHORT
from tests.model.page import PAGE, kinds, written
from tests.model.search import Found, search

HISTORIES = 10_000
_A_TIME = 600
"""How many histories ``SURECLOSE_HISTORIES`` multiplies (``tests/journal/test_gate_model.py``)."""
_SAME = "tests/journal/test_gate_model.py::test_scripts_and_model_agree_on_every_history"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument(
        "--full", action="store_true", help="all bounds, some minutes; the short ones otherwise"
    )
    parser.add_argument("--json", action="store_true", help="what was found, on standard output")
    parser.add_argument("--page", action="store_true", help=f"write the table of {PAGE.name}")
    parser.add_argument(
        "--histories",
        action="store_true",
        help=f"compare the scripts with their model on {HISTORIES:,} random histories, and search nothing",
    )
    chosen = parser.parse_args()
    if chosen.histories:
        return _compared()
    found = []
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        for one in pool.map(search, FULL if chosen.full else SHORT):
            found.append(one)
            sys.stderr.write(line(one) + "\n")
    if chosen.page:
        PAGE.write_text(written(found))
    if chosen.json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    return 1 if any(one.broken or not one.whole for one in found) else 0


def line(found: Found) -> str:
    """One search in the terminal's table, with the trace of what is broken."""
    bounds = found.bounds
    head = f"{bounds.name}: at most {bounds.most} of {kinds(bounds)}"
    text = (
        f"{head}\n    {found.states} states, {found.transitions} transitions, depth {found.depth}, "
        f"{found.ends} ends, {found.seconds:.1f} s"
    )
    return text if found.broken is None else f"{text}\n{found.broken}"


def _compared() -> int:
    """The one test, with a longer hunt than by default."""
    times = -(-HISTORIES // _A_TIME)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout=3600", _SAME],
        check=False,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"SURECLOSE_HISTORIES": str(times)},
    )
    return ran.returncode


if __name__ == "__main__":
    sys.exit(main())
