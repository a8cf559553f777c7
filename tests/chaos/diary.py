"""Everything that was done to the deployment, in its order and with its time, so that a run can be read afterwards."""

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any


class Diary:
    """One line of JSON for each act."""

    def __init__(self, file: Path, seed: int) -> None:
        self._file = file
        self.counts: Counter[str] = Counter()
        self._write({"seed": seed})

    def note(self, act: str, **facts: Any) -> None:
        self.counts[act] += 1
        self._write({"act": act, **facts})

    def _write(self, facts: dict[str, Any]) -> None:
        with self._file.open("a") as lines:
            lines.write(json.dumps({"at": time.time_ns() // 1_000_000, **facts}) + "\n")
