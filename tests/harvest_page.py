"""The tables of ``docs/harvest.md`` that are made from the code: ``python -m tests.harvest_page`` writes them."""

from pathlib import Path
from typing import Final

from sureclose.domain.harvest.contract import CLAUSES
from sureclose.domain.harvest.kill_score import table
from sureclose.domain.harvest.ladder import RUNGS

PAGE: Final = Path(__file__).parents[1] / "docs" / "harvest.md"


def tables() -> dict[str, str]:
    """By the name of their place."""
    rungs = [f"| `rung-{rung.number}` | {rung.at} | {rung.taken:.0%} |" for rung in RUNGS]
    clauses = [f"| `{clause}` | {says} |" for clause, says in CLAUSES.items()]
    return {
        "rungs": "\n".join(("| rung | at R | asked for in all |", "|---|---|---|", *rungs)),
        "terms": table(),
        "clauses": "\n".join(("| clause | says |", "|---|---|", *clauses)),
    }


def rendered(page: str) -> str:
    """The page with its tables as the code has them now."""
    for name, lines in tables().items():
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        assert page.count(begin) == page.count(end) == 1
        before, _, rest = page.partition(begin)
        page = f"{before}{begin}\n{lines}\n{end}{rest.partition(end)[2]}"
    return page


if __name__ == "__main__":
    PAGE.write_text(rendered(PAGE.read_text()))
