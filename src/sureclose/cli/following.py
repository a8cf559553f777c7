"""How far a long command is, on standard error: a bar on a terminal, a line now and then anywhere else."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_EVERY_S: Final = 5.0


class Said(Protocol):
    """Told how many are done so far."""

    def __call__(self, done: int, /) -> None: ...


@contextmanager
def following(what: str, total: int | None) -> Iterator[Said]:
    """``total`` is how many there are to do, None where nobody knows."""
    began = time.monotonic()
    if not sys.stderr.isatty():
        told_at = began

        def line(done: int, /) -> None:
            nonlocal told_at
            now = time.monotonic()
            if now - told_at >= _EVERY_S:
                told_at = now
                click.echo(
                    f"{what}: {done:,}{_of(total)}, {_rate(done, began)}{_left(done, total, began)}", err=True
                )

        yield line
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total, rate="")

        def bar(done: int, /) -> None:
            progress.update(task, completed=done, rate=_rate(done, began))

        yield bar


def _of(total: int | None) -> str:
    return "" if total is None else f" of {total:,}"


def _rate(done: int, began: float) -> str:
    return f"{done / max(time.monotonic() - began, 0.001):,.0f}/s"


def _left(done: int, total: int | None, began: float) -> str:
    if total is None or not done:
        return ""
    seconds = (time.monotonic() - began) / done * max(0, total - done)
    return f", {seconds:,.0f} s left"
