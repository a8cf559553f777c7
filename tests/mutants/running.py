"""Runs tests on a copy of the source that has one break in it, and says who noticed."""

import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Container, Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

import msgspec

from tests.mutants.mutant import PACKAGE, ROOT, SRC, Misfit, Mutant

AT_ONCE: Final = 2
TIMEOUT_S: Final = 60
"""For one test: a break may make it wait for ever."""
_NO_PROGRAM: Final = (
    "SyntaxError",
    "NameError",
    "ImportError",
    "ModuleNotFoundError",
    "Error compiling script",
)
"""A failure that says this comes from a change that is no program, and shows nothing of the rule."""


class Verdict(StrEnum):
    """What became of a mutant."""

    CAUGHT = "caught"
    SURVIVED = "survived"
    BROKEN = "broken"
    """Its tests came to no verdict: they could not be collected or set up, or the change is no program."""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """One mutant and its verdict; ``by`` is the first test that failed, ``why`` says more where it was not caught."""

    mutant: Mutant
    verdict: Verdict
    by: str = ""
    seconds: float = 0.0
    why: str = ""


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """One run of pytest. ``error`` is what kept the tests from a verdict."""

    failures: dict[str, str]
    """What each test that failed said."""
    error: str = ""
    output: str = ""


async def play(mutants: Iterable[Mutant], sick: Container[str] = ()) -> AsyncIterator[Shown]:
    """All of them, some at once, in their order; the ``sick`` are tests that fail without a mutant too."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(mutant: Mutant) -> Shown:
        async with room:
            return await shown(mutant, sick)

    tasks = [asyncio.create_task(one(mutant), name=mutant.name) for mutant in mutants]
    try:
        for task in tasks:
            yield await task
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def shown(mutant: Mutant, sick: Container[str] = ()) -> Shown:
    """Apply one mutant to a copy of the source and run its tests there, up to the first that fails."""
    began = time.monotonic()
    with copied() as src:
        try:
            changed = mutant.apply(src)
        except Misfit as misfit:
            return Shown(mutant=mutant, verdict=Verdict.BROKEN, why=str(misfit))
        for compiled in changed.parent.glob(f"__pycache__/{changed.stem}.*.pyc"):
            compiled.unlink()
        ran = await run(mutant.tests, src, "-x")
    by, said = next(iter(ran.failures.items()), ("", ""))
    verdict, why = Verdict.CAUGHT, ""
    if ran.error or any(word in said for word in _NO_PROGRAM):
        verdict, why = Verdict.BROKEN, ran.error or said
    elif not by:
        verdict, why = Verdict.SURVIVED, ran.output
    elif by in sick:
        verdict, why = Verdict.BROKEN, f"{by} fails without the mutant too"
    return Shown(mutant=mutant, verdict=verdict, by=by, seconds=time.monotonic() - began, why=why)


@contextmanager
def copied() -> Iterator[Path]:
    """The source in a folder of its own. Compiled files go along: they keep their times, and save compiling."""
    folder = Path(tempfile.mkdtemp(prefix="sureclose-mutant-"))
    try:
        shutil.copytree(SRC, folder / "src", ignore=shutil.ignore_patterns("*.egg-info"))
        yield folder / "src"
    finally:
        shutil.rmtree(folder)


async def run(tests: Iterable[str], src: Path, *more: str) -> Ran:
    """Run these tests with the package from ``src``; ``more`` are options of pytest."""
    report = src.parent / "report.xml"
    options = [*more, "-q", "--tb=short", "-p", "no:cacheprovider", f"--timeout={TIMEOUT_S}"]
    output = await _python(src, "-m", "pytest", *options, f"--junitxml={report}", *tests)
    return _read(report, output)


async def imported_from(src: Path) -> Path:
    """Where a test's process finds the package when it is told to take it from ``src``."""
    return Path((await _python(src, "-c", f"import {PACKAGE}; print({PACKAGE}.__file__)")).strip())


async def _python(src: Path, *arguments: str) -> str:
    """What the interpreter said. The package is installed to be read from ``SRC``; the path of the environment wins."""
    environment = os.environ | {
        "PYTHONPATH": str(src),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(src.parent / "hypothesis"),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=ROOT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        process.terminate()
        await process.wait()
        raise
    return output.decode(errors="replace")


def _read(report: Path, output: str) -> Ran:
    if not report.exists():
        return Ran(failures={}, error=f"pytest wrote no report\n{output}")
    cases = [case for case in ET.parse(report).iter("testcase") if case.find("skipped") is None]
    if not cases:
        return Ran(failures={}, error=f"no test ran\n{output}")
    failures, error = {}, ""
    for case in cases:
        name = "::".join(part for part in (case.get("classname"), case.get("name")) if part)
        if (failure := case.find("failure")) is not None:
            failures[name] = f"{failure.get('message')}\n{failure.text}"
        elif case.find("error") is not None and name not in failures:
            # A test that failed may leave something behind that is an error of its own.
            error = f"{name} came to no verdict\n{output}"
    return Ran(failures=failures, error=error, output=output)
