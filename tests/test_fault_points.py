"""The fault points themselves: a test that crashes nothing would show nothing."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sureclose.fault_points import CRASHED, FaultPoint

_PROGRAM = """
from sureclose.fault_points import FaultPoint, reach
for point in (FaultPoint.BEFORE_GATE, FaultPoint.AFTER_GATE, FaultPoint.BEFORE_GATE, FaultPoint.AFTER_GATE):
    reach(point)
print("lived")
"""


def _run(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _PROGRAM], env=environment, capture_output=True, text=True, check=False
    )


def test_unasked_nothing_happens() -> None:
    assert _run().stdout == "lived\n"


@pytest.mark.parametrize(("how", "code"), [("exit", CRASHED), ("kill", -signal.SIGKILL)])
def test_a_process_dies_at_the_point_the_time_and_in_the_way_that_was_asked_for(
    how: str, code: int, tmp_path: Path
) -> None:
    trace = tmp_path / "reached"
    died = _run(SURECLOSE_CRASH_AT="after_gate:2", SURECLOSE_CRASH_HOW=how, SURECLOSE_CRASH_TRACE=str(trace))
    assert (died.returncode, died.stdout) == (code, "")
    assert trace.read_text().split() == ["before_gate", "after_gate"] * 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"SURECLOSE_CRASH_AT": "after_gait"},
        {"SURECLOSE_CRASH_AT": "after_gate:soon"},
        {"SURECLOSE_CRASH_AT": "after_gate:0"},
        {"SURECLOSE_CRASH_AT": "after_gate", "SURECLOSE_CRASH_HOW": "gently"},
    ],
)
def test_what_is_misspelt_ends_the_process_at_its_start(wrong: dict[str, str]) -> None:
    died = _run(**wrong)
    assert died.returncode == 1
    assert "Error" in died.stderr
    assert not died.stdout


def test_a_point_is_named_as_its_member() -> None:
    assert all(point.value == point.name.lower() for point in FaultPoint)
