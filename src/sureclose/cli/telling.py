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
from sureclose.operate.asking import Asked
from sureclose.operate.closes import CloseView
from sureclose.operate.closing_all import line

WHAT_TO_DO = {
    "already_flat": "nothing is open there",
    "other_side": "the position is on the other side; leave --side out, or name the side that it is on",
    "position_side_needed": "both sides are open; say by --side which one is meant",
    "expired": "the wish was not taken in before it expired; look at `sureclose doctor`, then repeat it",
    "unknown_symbol": "the venue lists no such symbol; write it as the venue does, such as ETHUSDT",
    "below_step": "the amount is below the symbol's smallest step; close more of it",
    "frozen": "closing is frozen and the warrant has run out; repeat the close",
    "not_authorised": "nobody holds the grant and the warrant has run out; repeat the close",
    "position_changed": "somebody else changed the position meanwhile; look at it, then close what is left",
}
"""For the reasons that a person can do something about."""

_COLOURS = {
    CloseState.FLAT: "green",
    CloseState.REDUCED: "green",
    CloseState.UNKNOWN: "bold red",
    CloseState.PARKED: "bold red",
    CloseState.REFUSED: "bold red",
}
_EVERY_S = 0.2


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
            click.echo(f"{name:<{width}}  {value}")
    if view is not None and (remedy := view.remedy or WHAT_TO_DO.get(view.reason, "")):
        click.echo(f"sureclose: {remedy}", err=True)


def _text(value: Any) -> str:
    """As the streams have it."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
