"""The table of keys in the documentation, which is what a run may leave in the log."""

import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, NamedTuple

_PAGE: Final = Path(__file__).parents[2] / "docs" / "journal.md"


class Owned(NamedTuple):
    """One kind of key, without the streams' prefix, and what it goes by."""

    pattern: str
    goes_by: str


def owned() -> list[Owned]:
    """Every kind that stands in the table, for the account of the tests."""
    rows = _PAGE.read_text().partition("## Every key")[2].splitlines()
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows if row.startswith("| `")]
    return [
        Owned(pattern.replace(":A:", ":paper:main:"), row[-1])
        for row in cells
        for pattern in re.findall(r"`([^`]+)`", row[0])
    ]


def kind_of(key: str) -> Owned | None:
    """The kind of a key, ``None`` when nobody owns it."""
    return next((kind for kind in owned() if fnmatchcase(key, kind.pattern)), None)
