"""All mutants, part by part in the order of section 4."""

from typing import Final

from tests.mutants.cases import authority, blockers, confirm, gate, loss, proof, receive, send, size
from tests.mutants.mutant import Mutant

_PARTS: Final = (receive, size, gate, send, proof, confirm, blockers, loss, authority)

ALL: Final[tuple[Mutant, ...]] = tuple(mutant for part in _PARTS for mutant in part.MUTANTS)
TITLES: Final[dict[str, str]] = {mutant.name: part.TITLE for part in _PARTS for mutant in part.MUTANTS}
