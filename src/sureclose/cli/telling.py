"""How a single close is told while it goes on, and when it has ended."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import click
import msgspec
from rich.console import Console

from sureclose.cli import exits
from sureclose.cli.codes import Exit
from sureclose.domain.close_state import CloseState
from sureclose.domain.times import iso_ms
from sureclose.operate.asking import Asked
from sureclose.operate.closes import CloseView
from sureclose.operate.closing_all import line

_COLOURS = {
    CloseState.FLAT: "green",
    CloseState.REDUCED: "green",
    CloseState.UNKNOWN: "bold red",
    CloseState.PARKED: "bold red",
    CloseState.REFUSED: "bold red",
}
_EVERY_S = 0.2
_TIMES = frozenset({"requested_at", "expires_at", "updated_at"})


class Said(Protocol):
    """Told each state of the close, once."""

    def __call__(self, view: CloseView, /) -> None: ...


@contextmanager
def progress(plan_id: str) -> Iterator[Said]:
    """A line for each state on standard error; on a terminal also what it waits for now, and since when."""
    if not sys.stderr.isatty():

        def plain(view: CloseView, /) -> None:
            click.echo(f"plan {plan_id}: {line(view)}", err=True)

        yield plain
        return
    console, began = Console(stderr=True), time.monotonic()
    with console.status("published", refresh_per_second=1 / _EVERY_S) as status:

        def live(view: CloseView, /) -> None:
            colour = _COLOURS.get(view.state, "cyan")
            told = exits.plain(line(view))
            console.print(f"{time.monotonic() - began:6.3f} s  [{colour}]{told}[/]", highlight=False)
            status.update(f"{told}; waiting for {_NEXT.get(view.state, 'the end')}")

        yield live


_NEXT = {
    CloseState.RECEIVED: "the decision",
    CloseState.APPROVED: "the order",
    CloseState.SENT: "the fill",
    CloseState.UNKNOWN: "the proof of what became of the order",
    CloseState.FILLED: "the position to be read back",
}


def code_of(view: CloseView) -> Exit:
    """0 is: confirmed flat, or reduced as asked."""
    match view.state:
        case CloseState.FLAT:
            return Exit.DONE
        case CloseState.REDUCED if not view.reason:
            return Exit.DONE
        case CloseState.PARKED:
            return Exit.UNKNOWN
    return Exit.NOT_AUTHORISED if view.reason in {"frozen", "not_authorised"} else Exit.ERROR


def tell(asked: Asked, view: CloseView | None, *, as_json: bool) -> None:
    """What is known at the end of the command, and what a person can do about it."""
    known = {} if view is None else msgspec.to_builtins(view)
    document = {
        "intent_id": asked.intent_id,
        "plan_id": asked.plan_id,
        "entry_id": asked.entry_id,
        "state": "published",
        **{name: _text(value) for name, value in known.items() if name not in {"id", "final"}},
    }
    if as_json:
        exits.print_json(document)
    else:
        width = max(map(len, document))
        for name, value in document.items():
            shown = iso_ms(int(value)) if name in _TIMES else value
            click.echo(f"{name:<{width}}  {shown}")
    if view is not None and view.remedy:
        click.echo(f"sureclose: {view.remedy}", err=True)


def _text(value: Any) -> str:
    """As the streams have it."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
