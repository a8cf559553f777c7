"""What stands before the command: where the configuration is and how much is said."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """As given on the command line; nothing is read yet."""

    files: tuple[Path, ...]
    verbose: bool
