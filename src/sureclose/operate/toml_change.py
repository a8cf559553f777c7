"""One key of a TOML file, changed as a person would: the other lines stay as they are."""

import difflib
import re
from pathlib import Path


def with_key(text: str, section: str, key: str, value: str) -> str:
    """The text with ``key = "value"`` in ``[section]``; a line that comments the key out is left to stand above it."""
    lines = text.splitlines()
    line = f'{key} = "{value}"'
    try:
        start = next(n for n, one in enumerate(lines) if re.fullmatch(rf"\s*\[{section}\]\s*(#.*)?", one)) + 1
    except StopIteration:
        return "\n".join([*lines, *([""] if lines else []), f"[{section}]", line, ""])
    end = next((n for n in range(start, len(lines)) if lines[n].lstrip().startswith("[")), len(lines))
    for number in range(start, end):
        if found := re.fullmatch(rf"\s*{key}\s*=\s*(\"[^\"]*\"|'[^']*')(\s*#.*)?", lines[number]):
            lines[number] = line + (found[2] or "")
            break
    else:
        lines.insert(start, line)
    return "\n".join([*lines, ""])


def difference(file: Path, before: str, after: str) -> str:
    """As ``diff -u`` shows it; empty when nothing changes."""
    return "".join(
        difflib.unified_diff(
            before.splitlines(keepends=True),
            after.splitlines(keepends=True),
            fromfile=str(file),
            tofile=str(file),
        )
    )
