"""``python -m tests.mutants``: shows that every mutant is caught; exit 1 when one is not.

With words it plays only mutants whose name has one of them. ``--page`` writes ``docs/mutants.md``, of all.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence

import msgspec

from tests.mutants.cases import ALL, TITLES
from tests.mutants.mutant import PACKAGE, Mutant
from tests.mutants.page import PAGE, line, page
from tests.mutants.running import Shown, Verdict, copied, imported_from, play, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="NAME")
    parser.add_argument("--json", action="store_true", help="the verdicts as JSON on standard output")
    parser.add_argument("--page", action="store_true", help="write docs/mutants.md")
    chosen = parser.parse_args()
    if chosen.page and chosen.words:
        parser.error("the page is of all mutants")
    mutants = [one for one in ALL if not chosen.words or any(word in one.name for word in chosen.words)]
    if not mutants:
        parser.error(f"no mutant has {' or '.join(chosen.words)} in its name")
    began = time.monotonic()
    shown = asyncio.run(_played(mutants))
    missed = [one for one in shown if one.verdict is not Verdict.CAUGHT]
    for one in missed:
        sys.stderr.write(f"\n{one.verdict.upper()}: {one.mutant.name} ({one.mutant.file})\n{one.why}\n")
    sys.stderr.write(f"{len(shown)} mutants, {len(missed)} not caught, {time.monotonic() - began:.0f} s\n")
    if chosen.json:
        sys.stdout.write(msgspec.json.encode([_told(one) for one in shown]).decode() + "\n")
    if chosen.page:
        PAGE.write_text(page(shown, TITLES))
    return 1 if missed else 0


async def _played(mutants: Sequence[Mutant]) -> list[Shown]:
    """First that the copy is what is imported, and which tests pass with it as it is; then the mutants."""
    with copied() as src:
        found = await imported_from(src)
        assert found.is_relative_to(src), (
            f"{PACKAGE} is imported from {found}, and not from the copy in {src}"
        )
        whole = await run(sorted({test for one in mutants for test in one.tests}), src)
    if whole.error or whole.failures:
        sys.stderr.write(f"not all tests pass without a mutant:\n{whole.error or whole.output}\n")
    shown = []
    async for one in play(mutants, whole.failures):
        shown.append(one)
        sys.stderr.write(line(one) + "\n")
    return shown


def _told(one: Shown) -> dict[str, object]:
    return {
        "mutant": one.mutant.name,
        "rule": one.mutant.rule,
        "file": one.mutant.file,
        "verdict": one.verdict,
        "caught_by": one.by,
        "seconds": round(one.seconds, 1),
    }


if __name__ == "__main__":
    sys.exit(main())
