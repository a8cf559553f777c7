"""A deliberate break of one rule, as data: the text that is changed, and the tests that must notice."""

import ast
from pathlib import Path
from typing import Final

import msgspec

ROOT: Final = Path(__file__).parents[2]
SRC: Final = ROOT / "src"
PACKAGE: Final = "sureclose"


class Mutant(msgspec.Struct, frozen=True, kw_only=True):
    """One break. ``file`` is relative to the package, ``old`` stands in it exactly once, ``tests`` are pytest node ids.

    ``rule`` is what it breaks: a number of section 4 of the design, or one of its invariants.
    """

    name: str
    rule: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def apply(self, src: Path) -> Path:
        """Change the file below ``src``; the path of what was changed. Raises ``Misfit``."""
        path = src / PACKAGE / self.file
        try:
            text = path.read_text()
        except FileNotFoundError:
            raise Misfit(f"{self.name}: there is no {self.file}") from None
        path.write_text(self.changed(text))
        return path

    def changed(self, text: str) -> str:
        """The file's text with the break in it; raises ``Misfit``."""
        if (found := text.count(self.old)) != 1:
            raise Misfit(
                f"{self.name}: its text stands {found} times in {self.file}, and should stand there once"
            )
        changed = text.replace(self.old, self.new)
        if self.file.endswith(".py"):
            try:
                ast.parse(changed)
            except SyntaxError as error:
                raise Misfit(f"{self.name}: {self.file} would be no Python any more ({error})") from error
        return changed


class Misfit(Exception):
    """The mutant does not fit the code any more. Write it anew for the place where the rule lives now."""
